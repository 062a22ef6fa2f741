"""Under the list: all that is known of the job under the cursor, its error in full."""

from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from projectw_shared.messages import Job
from projectw_shared.text import fit, safe, shorten
from projectw_tui.display import clock, language_name, size, why_waiting
from projectw_tui.widgets.job_table import Entry, Sending

LONGEST_NAME = 200
"""Cells of a file's name, and LONGEST_NOTE characters of what is said: more would push the list out of sight."""

LONGEST_NOTE = 2000


class JobDetail(Static):
    """A line of facts, and a second one that says what is to be said."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"job-detail--error"}

    _height = 0

    def show(self, entry: Entry | None) -> None:
        """Show ``entry``, or nothing."""
        if entry is None:
            self._show(Text(""))
        elif isinstance(entry, Sending):
            self._lines(Text(_name(entry.file_name), style="bold"), entry.error, failed=True)
        else:
            facts = Text.assemble((_name(entry.file_name), "bold"), ("  " + "  ".join(_facts(entry)), "dim"))
            self._lines(facts, _note(entry), failed=entry.error is not None)

    def _lines(self, facts: Text, note: str | None, *, failed: bool) -> None:
        style = self.get_component_rich_style("job-detail--error", partial=True) if failed else ""
        self._show(Text.assemble(facts, "\n", (safe(shorten(note or "", LONGEST_NOTE)), style)))

    def _show(self, text: Text) -> None:
        """Draw ``text`` if it is another than before: progress comes often and changes nothing here."""
        if text != self.content:
            height, self._height = self._height, self._height_of(text)
            self.update(text, layout=height != self._height)

    def _height_of(self, text: Text) -> int:
        return len(text.wrap(self.app.console, max(self.size.width, 20)))


def _name(file_name: str) -> str:
    return fit(safe(file_name), LONGEST_NAME)


def _facts(job: Job) -> list[str]:
    facts = [
        clock(job.duration),
        size(job.bytes),
        safe(job.settings.model or ""),
        fit(safe(language_name(job.language)), 20),
        "translated" if job.settings.task == "translate" else "",
        f"on {fit(safe(job.runner.name), 40)}" if job.runner else "",
    ]
    return [fact for fact in facts if fact]


def _note(job: Job) -> str | None:
    if job.error is not None:
        return f"{job.error.message} ({job.error.code})"
    if job.cancel_requested and not job.state.is_over:
        return "Will be cancelled as soon as its runner has let go."
    reason = why_waiting(job)
    if job.attempts > 1 and not job.state.is_over and reason is None:
        return f"Attempt {job.attempts}: an earlier runner was lost, what it had transcribed is kept."
    return reason
