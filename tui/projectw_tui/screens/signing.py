"""What the forms before the sign-in share: fields one below the other, sent without losing what was typed."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from projectw_shared.errors import ProjectWError
from projectw_shared.text import safe
from projectw_tui.screens.base import WorkingScreen


class SigningScreen(WorkingScreen[None]):
    """A form that asks the server something before one is let in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("ctrl+q", "app.quit", "Quit", priority=True),
    ]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field; from the last one, send."""
        inputs = list(self.query(Input))
        self.send() if event.input is inputs[-1] else self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send, or go back."""
        self.action_back() if event.button.id == "back" else self.send()

    def action_back(self) -> None:
        """Go back to the sign-in."""
        self.app.pop_screen()

    def send(self) -> None:
        """Send what was typed."""
        raise NotImplementedError

    def value(self, name: str) -> str:
        """Return what was typed; of a password every character counts."""
        field = self.query_one(f"#{name}", Input)
        return field.value if field.password else field.value.strip()

    def say(self, words: str) -> None:
        """Say what is wrong, or what is being done."""
        self.query_one("#refusal", Static).update(Content(safe(words)))

    def ask(self, question: Callable[[], Awaitable[None]], busy: str = "Asking the server …") -> None:
        """Ask the server, one thing at a time; what it refuses is said, and what was typed stays."""
        if self.has_class("-busy"):
            return
        self.set_class(True, "-busy")
        self.say(busy)

        async def ask() -> None:
            try:
                await question()
            except ProjectWError as error:
                self.say(error.detail)
            finally:
                self.set_class(False, "-busy")

        self.attempt(ask)


def row(title: str, control: Input) -> Horizontal:
    """Return a line of a form."""
    return Horizontal(Label(Content(title)), control, classes="setting")
