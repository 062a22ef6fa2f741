"""Writing a transcript to a file."""

from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static
from textual.worker import Worker

from projectw_shared.text import STAND_IN, fit, safe
from projectw_tui.screens.base import typed_path
from projectw_tui.screens.confirm import ConfirmScreen

FORMATS = {
    "txt": "plain text",
    "srt": "SubRip subtitles",
    "vtt": "WebVTT subtitles",
    "tsv": "table, tabs between",
    "json": "everything, JSON",
    "md": "Markdown",
}


LONGEST_STEM = 60


class Export(NamedTuple):
    """What to write, and where to."""

    file_format: str
    path: Path


class ExportScreen(ModalScreen[Export | None]):
    """Asks for format and path, and before it writes over a file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", show=False),
        Binding("ctrl+s", "save", "Save", show=False),
    ]

    def __init__(self, file_name: str, folder: Path) -> None:
        super().__init__()
        self._file_name = file_name
        self._folder = folder

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        choices = [(f"{name:<5} {meaning}", name) for name, meaning in FORMATS.items()]
        with Vertical(classes="dialog"):
            yield Static(Content(f"Export {fit(safe(self._file_name), 100)}"), classes="title")
            with Horizontal(classes="setting"):
                yield Label(Content("Format"))
                yield Select(choices, value="txt", allow_blank=False, id="format", compact=True)
            with Horizontal(classes="setting"):
                yield Label(Content("File"))
                yield Input(safe(str(self._target("txt"))), id="target", compact=True, select_on_focus=False)
            yield Static(Content(""), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Save"), id="save", variant="primary", compact=True)
                yield Button(Content("Back"), id="back", compact=True)

    @on(Select.Changed, "#format")
    def follow_format(self, event: Select.Changed) -> None:
        """Give the file the suffix of its format."""
        target = self.query_one("#target", Input)
        if Path(target.value).name:
            target.value = str(Path(target.value).with_suffix(f".{event.value}"))
            target.cursor_position = len(target.value)

    @on(Input.Submitted)
    def save_from_field(self) -> None:
        """Enter saves."""
        self.action_save()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Save, or go back."""
        self.action_save() if event.button.id == "save" else self.dismiss(None)

    def action_save(self) -> None:
        """Hand the choice back; over a file that exists only after a question."""
        _: Worker[None] = self.run_worker(self._save, exclusive=True, exit_on_error=False)

    async def _save(self) -> None:
        path = typed_path(self.query_one("#target", Input).value)
        if reason := _objection(path):
            self.query_one("#refusal", Static).update(Content(safe(reason)))
            return
        if path.exists():
            question = ConfirmScreen("Replace the file?", f"{path} exists already.", "Replace")
            if not await self.app.push_screen_wait(question):
                return
        self.dismiss(Export(str(self.query_one("#format", Select).value), path))

    def _target(self, file_format: str) -> Path:
        return self._folder / export_name(self._file_name, file_format)


def export_name(file_name: str, file_format: str) -> str:
    """Return a file name for the transcript of ``file_name``, which names no folder and hides nothing."""
    last = file_name.replace("\\", "/").rpartition("/")[2]
    harmless = safe(last).replace(STAND_IN, "_")
    # No file system takes a name of more than 255 bytes, and a character has up to four.
    stem = fit(Path(harmless).stem.lstrip(".").strip(), LONGEST_STEM) or "transcript"
    return f"{stem}.{file_format}"


def _objection(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; add the name of a file."
    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist."
    return ""
