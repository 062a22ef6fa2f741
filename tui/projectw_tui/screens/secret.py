"""A secret that is shown this once."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from projectw_shared.text import safe


class SecretScreen(ModalScreen[None]):
    """Shows a token whole and copies it; once closed, nobody can show it again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy"),
        Binding("escape", "dismiss", "Close"),
        Binding("left,right", "app.focus_next", "Other button", show=False),
    ]

    def __init__(self, title: str, secret: str, explanation: str) -> None:
        super().__init__()
        self._heading = safe(title)
        self._secret = safe(secret)
        self._explanation = safe(explanation, keep_newlines=True)

    def compose(self) -> ComposeResult:
        """Lay out the secret."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._heading), classes="title")
            yield Static(Content(self._secret), id="secret")
            yield Static(Content(f"{self._explanation}\nIt is not shown again."), classes="note")
            with Horizontal(classes="buttons"):
                yield Button(Content("Copy"), id="copy", variant="primary", compact=True)
                yield Button(Content("Close"), id="close", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Copy, or close."""
        self.action_copy() if event.button.id == "copy" else self.dismiss(None)

    def action_copy(self) -> None:
        """Copy through the terminal."""
        self.app.copy_to_clipboard(self._secret)
