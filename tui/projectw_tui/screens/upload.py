"""Choosing recordings, and what is to be done with them."""

from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Footer, Input, Static

from projectw_shared.jobs import MODELS, JobSettings
from projectw_shared.messages import About
from projectw_shared.text import safe
from projectw_tui.display import size
from projectw_tui.screens.base import WorkingScreen, typed_path
from projectw_tui.widgets.file_tree import FileTree
from projectw_tui.widgets.settings_form import SettingsForm


class Choice(NamedTuple):
    """The files to send, and the settings for all of them."""

    paths: list[Path]
    settings: JobSettings


class UploadScreen(WorkingScreen[Choice | None]):
    """Files on the left, what is to be done with them on the right."""

    AUTO_FOCUS = "#files"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", "Send", tooltip="Send the marked files"),
        Binding("slash", "filter", "Filter", tooltip="Show only files whose name contains something"),
        Binding("tilde", "path", "Path", tooltip="Type the path of a folder or a file", key_display="~"),
        Binding("escape", "leave", "Back"),
    ]

    def __init__(self, folder: Path, about: About | None, defaults: JobSettings | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._defaults = defaults
        self._models = about.models if about and about.models else list(MODELS)
        self._limit = about.max_upload_bytes if about else None

    def compose(self) -> ComposeResult:
        """Lay out picker and form."""
        yield Static(Content("Send recordings"), classes="heading")
        with Horizontal(id="upload"):
            with Vertical(id="picker"):
                yield Input(safe(str(self._folder)), id="path", compact=True)
                yield FileTree(self._folder)
                yield Input(placeholder="filter: part of a name", id="filter", compact=True)
            with Vertical(id="wishes"):
                yield SettingsForm(self._models, self._defaults)
                with VerticalScroll(id="chosen", can_focus=False):
                    yield Static(Content("Mark files with space or enter."), id="summary")
                yield Static(Content(""), id="refusal")
                with Horizontal(classes="buttons"):
                    yield Button(Content("Send"), id="send", variant="primary", compact=True)
                    yield Button(Content("Back"), id="back", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    @on(Input.Submitted, "#path")
    def go_to_path(self, event: Input.Submitted) -> None:
        """Show the folder that was typed, or mark the file."""
        path = typed_path(event.value)
        tree = self.query_one(FileTree)
        if path.is_dir():
            # A filter was meant for the folder before; here it could hide all that there is.
            self.query_one("#filter", Input).value = ""
            tree.path = path
            tree.focus()
        elif path.is_file():
            tree.toggle(path.absolute())
        else:
            self._refuse(f"{path} does not exist.")

    @on(Input.Changed, "#filter")
    async def filter_files(self, event: Input.Changed) -> None:
        """Leave out what does not match."""
        await self.query_one(FileTree).filter(event.value)

    @on(Input.Submitted, "#filter")
    def back_to_files(self) -> None:
        """Go on choosing."""
        self.query_one(FileTree).focus()

    def on_file_tree_marked(self) -> None:
        """Say what is chosen."""
        lines = [f"{len(self._paths)} chosen" if self._paths else "Mark files with space or enter."]
        lines += [f"{safe(path.name)}  {_size_of(path)}" for path in self._paths]
        self.query_one("#summary", Static).update(Content("\n".join(lines)))
        self._refuse("")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send, or go back."""
        self.action_send() if event.button.id == "send" else self.action_leave()

    def action_send(self) -> None:
        """Hand the choice back, if it can be sent."""
        try:
            settings = self.query_one(SettingsForm).settings()
        except ValueError as error:
            self._refuse(f"{error}.")
            return
        if reason := self._objection():
            self._refuse(reason)
            return
        self.dismiss(Choice(self._paths, settings))

    def action_leave(self) -> None:
        """Go back: from a field to the files, from there to the list of jobs."""
        if self.focused is not None and self.focused.id in ("path", "filter"):
            self.query_one(FileTree).focus()
        else:
            self.dismiss(None)

    def action_filter(self) -> None:
        """Go to the filter."""
        self.query_one("#filter", Input).focus()

    def action_path(self) -> None:
        """Go to the path."""
        self.query_one("#path", Input).focus()

    @property
    def _paths(self) -> list[Path]:
        return list(self.query_one(FileTree).marked)

    def _objection(self) -> str:
        if not self._paths:
            return "No file is marked: go to one and press space."
        for path in self._paths:
            try:
                count = path.stat().st_size
            except OSError as error:
                return f"{path.name} cannot be read: {error.strerror}."
            if not count:
                return f"{path.name} is empty."
            if self._limit and count > self._limit:
                return f"{path.name} has {size(count)}; the server takes at most {size(self._limit)}."
        return ""

    def _refuse(self, reason: str) -> None:
        self.query_one("#refusal", Static).update(Content(safe(reason)))


def _size_of(path: Path) -> str:
    try:
        return size(path.stat().st_size)
    except OSError:
        return ""
