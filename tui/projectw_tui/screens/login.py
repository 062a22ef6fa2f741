"""Signing in, and the ways to there."""

from dataclasses import dataclass, field
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantBlur
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static

from projectw_shared.messages import About
from projectw_shared.text import safe, shorten
from projectw_tui.screens.base import WorkingScreen
from projectw_tui.screens.signing import row
from projectw_tui.screens.signup import MOST_OF_DOMAINS

LONGEST_REASON = 600


class LoginScreen(WorkingScreen[None]):
    """Asks for server, e-mail address and password, and says what was wrong with them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "go('sign-up')", "Sign up", tooltip="Ask for an account"),
        Binding("f3", "go('reset')", "Forgot password", tooltip="Set a new password"),
        Binding("f4", "go('activate')", "Enter a code", tooltip="Confirm an address with a code from a mail"),
        Binding("ctrl+q", "app.quit", "Quit", priority=True),
    ]

    @dataclass
    class Submitted(Message):
        """The form is filled in."""

        server: str
        email: str
        password: str = field(repr=False)

    @dataclass
    class Asked(Message):
        """A server was named: what does it offer?"""

        server: str

    @dataclass
    class Chosen(Message):
        """Another way in: ``sign-up``, ``reset`` or ``activate``."""

        way: str
        server: str
        email: str

    def __init__(self, server: str, reason: str = "", email: str = "") -> None:
        super().__init__()
        self._server = server
        self._reason = reason
        self._email = email
        self._asked = ""
        self._about: About | None = None

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(id="login", classes="entrance"):
            yield Static(Content("Project W"), classes="title")
            yield Static(Content("Recordings into text, on hardware that its owner trusts."), classes="note")
            yield row("Server", Input(safe(self._server), id="server", compact=True))
            yield row("E-mail", Input(safe(self._email), id="email", compact=True))
            yield row("Password", Input(password=True, id="password", compact=True))
            yield Static(Content(safe(self._reason)), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Sign in"), variant="primary", id="sign-in", compact=True)
            yield Static(Content(""), id="offer")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin where something is missing."""
        self.query_one("#password" if self._email else "#email", Input).focus()
        self._ask()

    @on(DescendantBlur)
    def server_left(self) -> None:
        """Ask another server what it offers."""
        self._ask()

    def _ask(self) -> None:
        server = self.query_one("#server", Input).value.strip()
        if server and server != self._asked:
            self._asked = server
            self.offer(None)
            self.post_message(self.Asked(server))

    def offer(self, about: About | None) -> None:
        """Show what the server offers to whom it does not know; None while that is not known."""
        self._about = about
        words = ""
        if about is not None and about.signup == "open":
            domains = shorten(", ".join(map(safe, about.allowed_email_domains)), MOST_OF_DOMAINS)
            words = f"No account yet? F2 signs you up{f', with an address at {domains}' if domains else ''}."
        elif about is not None:
            words = "Accounts are made by the operator of this server."
        self.query_one("#offer", Static).update(Content(words))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a sign-up only where the server does."""
        return parameters != ("sign-up",) or (self._about is not None and self._about.signup == "open")

    def action_go(self, way: str) -> None:
        """Take another way in."""
        server, email, _ = self._values()
        self.post_message(self.Chosen(way, server, email))

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

    def say(self, words: str) -> None:
        """Say what does not work."""
        self.query_one("#refusal", Static).update(Content(safe(words)))

    def _values(self) -> tuple[str, str, str]:
        server, email, password = (
            self.query_one(f"#{name}", Input).value for name in ("server", "email", "password")
        )
        return server.strip(), email.strip(), password

    def _submit(self) -> None:
        server, email, password = self._values()
        if not (server and email and password) or self.has_class("-busy"):
            self.say("All three fields are needed.")
            return
        self.set_class(True, "-busy")
        self.say("Signing in …")
        self.post_message(self.Submitted(server, email, password))
