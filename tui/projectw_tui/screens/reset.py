"""A new password in place of a forgotten one."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static

from projectw_shared.text import safe
from projectw_tui import codes
from projectw_tui.client import Client
from projectw_tui.screens.signing import SigningScreen, row


class ResetScreen(SigningScreen):
    """First the address, to which a code is sent; then that code with the new password."""

    @dataclass
    class Done(Message):
        """The new password is set."""

        email: str

    def __init__(self, client: Client, email: str = "") -> None:
        super().__init__()
        self._client = client
        self._email = email

    def compose(self) -> ComposeResult:
        """Lay out both parts."""
        with Vertical(classes="entrance"):
            yield Static(Content("A new password"), classes="title")
            yield Static(Content("1  A code is sent to the address of your account."), classes="note")
            yield row("E-mail", Input(safe(self._email), id="email", compact=True))
            with Horizontal(classes="buttons"):
                yield Button(Content("Send a code"), id="mail", compact=True)
            yield Static(Content("2  With that code you set a new password."), classes="note second")
            yield row("Code", Input(id="code", compact=True))
            yield row("Password", Input(password=True, id="password", compact=True))
            yield row("Again", Input(password=True, id="again", compact=True))
            yield Static(Content(""), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Set it"), variant="primary", id="send", compact=True)
                yield Button(Content("Back"), id="back", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the address has the code sent."""
        if event.input.id == "email":
            event.prevent_default()
            self._ask_for_code()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Have the code sent, or what the button says."""
        if event.button.id == "mail":
            event.prevent_default()
            self._ask_for_code()

    def _ask_for_code(self) -> None:
        email = self.value("email")
        if email:
            self.ask(lambda: self._mail(email))
        else:
            self.say("The address is needed.")

    async def _mail(self, email: str) -> None:
        await self._client.accounts.ask_for_reset(email)
        self.say(codes.sent_to_reset(email, await self._client.about()))
        self.query_one("#code", Input).focus()

    def send(self) -> None:
        """Set the new password."""
        code, password = self.value("code"), self.value("password")
        if not (code and password):
            self.say("The code and a new password are needed.")
        elif password != self.value("again"):
            self.say("The two passwords differ.")
        else:
            self.ask(lambda: self._reset(code, password))

    async def _reset(self, code: str, password: str) -> None:
        await self._client.accounts.reset(code, password)
        self.post_message(self.Done(self.value("email")))
