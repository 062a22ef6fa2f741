"""A question that is answered with yes or no."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from projectw_shared.text import fit, safe, shorten

LONGEST_QUESTION = 300
"""Cells: the answers have to stay in sight, whatever the question names."""


class ConfirmScreen(ModalScreen[bool]):
    """Asks before something that cannot be undone; the cursor is on the harmless answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", "Other answer", show=False),
    ]

    def __init__(self, question: str, explanation: str, yes: str) -> None:
        super().__init__()
        self._question = fit(safe(question), LONGEST_QUESTION)
        self._explanation = shorten(safe(explanation, keep_newlines=True), LONGEST_QUESTION)
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Lay out the question and its answers."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="title")
            yield Static(Content(self._explanation))
            with Horizontal(classes="buttons"):
                yield Button(Content("No"), id="no", compact=True)
                yield Button(Content(self._yes), id="yes", variant="error", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take the answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Take the answer."""
        self.dismiss(answer)
