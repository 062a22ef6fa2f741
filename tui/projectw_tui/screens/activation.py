"""Confirming an address with the code from a mail."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static
from textual.worker import Worker

from projectw_shared.text import safe
from projectw_tui import codes
from projectw_tui.client import Client
from projectw_tui.screens.signing import SigningScreen, row


class ActivationScreen(SigningScreen):
    """Takes the code; with a session it can have another one sent."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "resend", "Send again", tooltip="Have another mail sent"),
    ]

    class Confirmed(Message):
        """The address counts now."""

    class Left(Message):
        """The person goes back to the sign-in."""

    def __init__(self, client: Client, address: str = "", *, signed_in: bool) -> None:
        super().__init__()
        self._client = client
        self._address = address
        self._signed_in = signed_in

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        to = f" to {safe(self._address)}" if self._address else ""
        with Vertical(classes="entrance"):
            yield Static(Content("Confirm your address"), classes="title")
            words = f"Paste the code from the mail that was sent{to}."
            yield Static(Content(words), classes="note", id="where")
            yield row("Code", Input(id="code", compact=True))
            yield Static(Content(""), id="refusal")
            with Horizontal(classes="buttons"):
                yield Button(Content("Confirm"), variant="primary", id="send", compact=True)
                if self._signed_in:
                    yield Button(Content("Send again"), id="resend", compact=True)
                yield Button(Content("Log out" if self._signed_in else "Back"), id="back", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Ask whether the server sends mails at all."""
        _: Worker[None] = self.run_worker(self._look, exit_on_error=False)

    async def _look(self) -> None:
        about = await self._client.about()
        if not about.mail:
            address = safe(self._address) or "your address"
            self.query_one("#where", Static).update(Content(codes.sent(address, about)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer another mail only to whom the server knows."""
        return action != "resend" or self._signed_in

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send again, or what the button says."""
        if event.button.id == "resend":
            event.stop()
            event.prevent_default()
            self.action_resend()

    def send(self) -> None:
        """Confirm."""
        code = self.value("code")
        if code:
            self.ask(lambda: self._confirm(code))
        else:
            self.say("The code is needed.")

    async def _confirm(self, code: str) -> None:
        await self._client.accounts.activate(code)
        self.post_message(self.Confirmed())

    def action_resend(self) -> None:
        """Have another mail sent."""
        self.ask(self._resend)

    async def _resend(self) -> None:
        await self._client.accounts.resend_code()
        self.say(codes.sent_again(await self._client.about()))

    def action_back(self) -> None:
        """Go back to the sign-in."""
        self.post_message(self.Left())
