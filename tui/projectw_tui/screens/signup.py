"""Asking for an account."""

from dataclasses import dataclass, field

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static

from projectw_shared.messages import About
from projectw_shared.text import safe, shorten
from projectw_tui.client import Client
from projectw_tui.screens.signing import SigningScreen, row

MOST_OF_DOMAINS = 150
"""Characters of the list of domains that are shown."""


class SignUpScreen(SigningScreen):
    """Address and password of the account that is to be."""

    @dataclass
    class SignedUp(Message):
        """The server has taken the wish; a code is on its way."""

        email: str
        password: str = field(repr=False)

    def __init__(self, client: Client, about: About, email: str = "") -> None:
        super().__init__()
        self._client = client
        self._domains = about.allowed_email_domains
        self._email = email

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(classes="entrance"):
            yield Static(Content("A new account"), classes="title")
            if self._domains:
                words = f"With an address at {shorten(', '.join(map(safe, self._domains)), MOST_OF_DOMAINS)}."
                yield Static(Content(words), classes="note")
            yield row("E-mail", Input(safe(self._email), id="email", compact=True))
            yield row("Password", Input(password=True, id="password", compact=True))
            yield row("Again", Input(password=True, id="again", compact=True))
            yield Static(Content(""), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Sign up"), variant="primary", id="send", compact=True)
                yield Button(Content("Back"), id="back", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def send(self) -> None:
        """Ask for the account."""
        email, password = self.value("email"), self.value("password")
        if not (email and password):
            self.say("All three fields are needed.")
        elif password != self.value("again"):
            self.say("The two passwords differ.")
        else:
            self.ask(lambda: self._sign_up(email, password))

    async def _sign_up(self, email: str, password: str) -> None:
        await self._client.accounts.sign_up(email, password)
        self.post_message(self.SignedUp(email, password))
