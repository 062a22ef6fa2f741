"""Signing in."""

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Label, Static

from projectw_shared.text import safe, shorten
from projectw_tui.screens.base import WorkingScreen

LONGEST_REASON = 600


class LoginScreen(WorkingScreen[None]):
    """Asks for server, e-mail address and password, and says what was wrong with them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "app.quit", "Quit")]

    @dataclass
    class Submitted(Message):
        """The form is filled in."""

        server: str
        email: str
        password: str

    def __init__(self, server: str, reason: str = "") -> None:
        super().__init__()
        self._server = server
        self._reason = reason

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(id="login"):
            yield Static(Content("Project W"), classes="title")
            yield Static(Content("Recordings into text, on hardware that its owner trusts."), classes="note")
            yield _row("Server", Input(safe(self._server), id="server", compact=True))
            yield _row("E-mail", Input(id="email", compact=True))
            yield _row("Password", Input(password=True, id="password", compact=True))
            yield Static(Content(safe(self._reason)), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Sign in"), variant="primary", id="sign-in", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin where something is missing."""
        self.query_one("#email", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field; from the last one, sign in."""
        if event.input.id == "password":
            self._submit()
        else:
            self.focus_next()

    def on_button_pressed(self) -> None:
        """Sign in."""
        self._submit()

    def refuse(self, reason: str) -> None:
        """Say why it did not work, and let the person try again."""
        self.set_class(False, "-busy")
        self.query_one("#refusal", Static).update(Content(safe(shorten(reason, LONGEST_REASON))))
        password = self.query_one("#password", Input)
        password.value = ""
        password.focus()

    def _submit(self) -> None:
        values = [self.query_one(f"#{name}", Input).value for name in ("server", "email", "password")]
        server, email, password = values[0].strip(), values[1].strip(), values[2]
        if not (server and email and password) or self.has_class("-busy"):
            self.query_one("#refusal", Static).update(Content("All three fields are needed."))
            return
        self.set_class(True, "-busy")
        self.query_one("#refusal", Static).update(Content("Signing in …"))
        self.post_message(self.Submitted(server, email, password))


def _row(title: str, control: Input) -> Horizontal:
    return Horizontal(Label(Content(title)), control, classes="setting")
