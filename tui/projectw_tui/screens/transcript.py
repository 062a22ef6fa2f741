"""Reading a transcript, also while it grows."""

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer, Input, Static

from projectw_shared.jobs import JobState
from projectw_shared.messages import Job
from projectw_shared.text import fit, safe
from projectw_tui.client import Client, save_transcript
from projectw_tui.display import ICONS, bar, clock, language_name, percent, state_word, waiting
from projectw_tui.messages import JobChanged, JobRemoved, ReadAnew, SegmentsArrived
from projectw_tui.screens.base import WorkingScreen
from projectw_tui.screens.export import ExportScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.connection_bar import ConnectionBar
from projectw_tui.widgets.transcript_view import TranscriptView


class TranscriptScreen(WorkingScreen[None]):
    """One job's text, with time stamps."""

    AUTO_FOCUS = "#transcript"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", key_display="esc"),
        Binding("f", "follow", "Follow", tooltip="Keep the end in sight as the transcript grows"),
        Binding("slash", "search", "Search", tooltip="Search for words"),
        Binding("n", "step(1)", "Next", tooltip="Next match"),
        Binding("N,p", "step(-1)", "Previous", tooltip="Previous match", show=False),
        Binding("g", "start", "Start", tooltip="Go to the start"),
        Binding("G", "end", "End", tooltip="Go to the end"),
        Binding("t", "stamps", "Times", tooltip="Show or hide the time stamps", show=False),
        Binding("y", "copy", "Copy", tooltip="Copy the whole text"),
        Binding("e", "export", "Export", tooltip="Write the transcript to a file"),
        Binding("c", "cancel", "Cancel", tooltip="Cancel the job"),
        Binding("r", "retry", "Retry", tooltip="Try the job again"),
    ]

    def __init__(self, client: Client, settings: TuiSettings, job: Job) -> None:
        super().__init__()
        self._client = client
        self._settings = settings
        self._job = job

    def compose(self) -> ComposeResult:
        """Lay out the text and what belongs to it."""
        yield ConnectionBar(self._client.server_url)
        with Horizontal(id="title"):
            yield Static(Text(""), id="job-name")
            yield Static(Text(""), id="job-state")
        yield TranscriptView()
        yield Static(Content(""), id="empty")
        with Horizontal(id="search-bar"):
            yield Static(Content("/"), id="search-sign")
            yield Input(placeholder="words to find", id="search", compact=True)
        yield Static(Text(""), id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read what there is; a transcript that still grows is followed."""
        self.view.following = not self._job.state.is_over
        self._show_job()
        self.catch_up()

    @property
    def view(self) -> TranscriptView:
        """The text."""
        return self.query_one(TranscriptView)

    # --- news ---------------------------------------------------------------------------------------------

    def on_job_changed(self, event: JobChanged) -> None:
        """Show how the job stands."""
        if event.job.id != self._job.id or event.job.revision < self._job.revision:
            return
        before, self._job = self._job, event.job
        ended = event.job.state.is_over and not before.state.is_over
        self._show_job()
        if (before.state, before.cancel_requested) != (event.job.state, event.job.cancel_requested):
            self.refresh_bindings()
        if ended:
            self.catch_up()

    def on_job_removed(self, event: JobRemoved) -> None:
        """Leave a job that does not exist any more."""
        if event.job_id == self._job.id:
            self.notify("The job was deleted.")
            self.dismiss()

    def on_segments_arrived(self, event: SegmentsArrived) -> None:
        """Add what was said, or fetch what was missed."""
        if event.job_id == self._job.id:
            if not self.view.append(event.segments):
                self.catch_up()
            self._show_status()

    def on_read_anew(self, _event: ReadAnew) -> None:
        """Fetch what was missed while the line was down."""
        self.catch_up()

    def catch_up(self) -> None:
        """Fetch the job and what is missing of its transcript."""
        self.attempt(self._catch_up, group="catching up", exclusive=True)

    async def _catch_up(self) -> None:
        found = await self._client.segments(self._job.id, self.view.next)
        self.view.append(found.segments)
        self.on_job_changed(JobChanged(await self._client.job(self._job.id)))
        self._show_status()

    # --- what is shown ------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Shorten the name to what there is room for."""
        self._show_job()

    def _show_job(self) -> None:
        job = self._job
        state = Text(f"{ICONS[job.state]} {state_word(job)}")
        if job.state.is_held:
            done, rest = bar(job.progress, 12)
            left = f"  {waiting(job)} left" if job.eta is not None else ""
            state = Text.assemble(state, "  ", done, (rest, "dim"), f" {percent(job.progress):>4}{left}")
        elif job.position is not None:
            state.append(f"  {waiting(job)} in the queue")
            if job.waiting is not None and job.waiting.code != "busy":
                state.append(f": {fit(safe(job.waiting.message), 60)}", style="dim")
        facts = [
            clock(job.duration),
            safe(job.settings.model or ""),
            fit(safe(language_name(job.language)), 20),
        ]
        if job.state.is_over:
            state.append("  " + "  ".join(fact for fact in facts if fact), style="dim")
        holder = self.query_one("#job-state", Static)
        for each in JobState:
            holder.set_class(each is job.state, f"-{each}")
        holder.update(state)
        room = max(self.size.width - state.cell_len - 6, 12)
        self.query_one("#job-name", Static).update(Text(fit(safe(job.file_name), room), style="bold"))
        self._show_status()

    def _show_status(self) -> None:
        view = self.view
        self.set_class(not view.next, "-empty")
        self.query_one("#empty", Static).update(Content(_emptiness(self._job)))
        parts = [f"{view.next:,} segments"]
        if view.words:
            place = (view.current or 0) + 1
            parts.append(
                f"{place} of {len(view.matches):,}: {safe(view.words)}"
                if view.matches
                else f"no {safe(view.words)}"
            )
        if self._job.error is not None and view.next:
            parts.append(fit(f"{safe(self._job.error.message)} ({safe(self._job.error.code)})", 200))
        following = ("● following  ", "bold") if view.following else ""
        self.query_one("#status", Static).update(Text.assemble(following, "   ".join(parts)))

    @on(TranscriptView.Followed)
    def show_following(self) -> None:
        """Say whether the end is followed."""
        self._show_status()

    # --- deeds --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done."""
        state = self._job.state
        return {
            "export": state is JobState.SUCCEEDED,
            "cancel": not state.is_over and not self._job.cancel_requested,
            "retry": state in (JobState.FAILED, JobState.CANCELLED),
            "follow": not state.is_over,
            "step": not self.is_mounted or bool(self.view.words),
        }.get(action, True)

    def action_leave(self) -> None:
        """End the search, or go back to the list."""
        if self.view.words or self.query_one("#search", Input).has_focus:
            self.query_one("#search", Input).value = ""
            self._search("")
        else:
            self.dismiss()

    def action_follow(self) -> None:
        """Follow the end, or no longer."""
        self.view.following = not self.view.following

    def action_stamps(self) -> None:
        """Show or hide the time stamps."""
        self.view.stamps = not self.view.stamps

    def action_start(self) -> None:
        """Go to the start."""
        self.view.action_scroll_home()

    def action_end(self) -> None:
        """Go to the end."""
        self.view.action_scroll_end()

    def action_search(self) -> None:
        """Ask for words."""
        self.set_class(True, "-searching")
        self.query_one("#search", Input).focus()

    @on(Input.Submitted, "#search")
    def search_submitted(self, event: Input.Submitted) -> None:
        """Look at the first match."""
        event.stop()
        self._search(event.value.strip())

    def action_step(self, by: int) -> None:
        """Look at another match."""
        self.view.step(by)
        self._show_status()

    def _search(self, words: str) -> None:
        self.set_class(False, "-searching")
        self.view.search(words)
        self.view.focus()
        self._show_status()
        self.refresh_bindings()

    def action_copy(self) -> None:
        """Copy the text to the clipboard of the person's machine."""
        self.app.copy_to_clipboard(self.view.text())

    def action_export(self) -> None:
        """Write the transcript to a file."""
        self.attempt(self._export, group="exporting", exclusive=True)

    async def _export(self) -> None:
        export = await self.app.push_screen_wait(
            ExportScreen(self._job.file_name, self._settings.export_path)
        )
        if export is not None:
            await save_transcript(self._client, self._job.id, export.file_format, export.path)
            self.notify(f"Saved {export.path}")

    def action_cancel(self) -> None:
        """Cancel the job."""
        self.attempt(partial(self._move, "cancel"), group="moving")

    def action_retry(self) -> None:
        """Queue the job again."""
        self.attempt(partial(self._move, "retry"), group="moving")

    async def _move(self, deed: str) -> None:
        ask = self._client.cancel if deed == "cancel" else self._client.retry
        self.on_job_changed(JobChanged(await ask(self._job.id)))


def _emptiness(job: Job) -> str:
    """Say why there is no text."""
    if job.error is not None:
        return safe(f"{job.error.message}\n({job.error.code})", keep_newlines=True)
    return {
        JobState.QUEUED: "The job waits for a runner. Its text appears here as it is made.",
        JobState.ASSIGNED: "A runner is getting ready. The text appears here as it is made.",
        JobState.RUNNING: "Listening … The text appears here as it is made.",
        JobState.SUCCEEDED: "Nobody speaks in this recording.",
        JobState.CANCELLED: "The job was cancelled before there was any text.",
        JobState.FAILED: "The job failed before there was any text.",
    }[job.state]
