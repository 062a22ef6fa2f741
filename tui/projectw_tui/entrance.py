"""The ways in: signing in, signing up, a code from a mail, a forgotten password."""

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from projectw_shared.errors import ProjectWError
from projectw_tui.screens.activation import ActivationScreen
from projectw_tui.screens.login import LoginScreen
from projectw_tui.screens.reset import ResetScreen
from projectw_tui.screens.signup import SignUpScreen
from projectw_tui.wording import sentence

if TYPE_CHECKING:
    from textual.app import App

    from projectw_tui.client import Client
    from projectw_tui.screens.base import WorkingScreen

    Base = App[None]
else:
    Base = object


class Entrance(Base):
    """What an application does on the screens before one is let in."""

    if TYPE_CHECKING:

        async def open_client(self, server: str, *, token: bool = True) -> Client: ...
        async def enter(self) -> None: ...
        async def ask_to_sign_in(self, reason: str = "", email: str = "") -> None: ...
        async def ask_to_confirm(self, address: str = "") -> None: ...
        async def show_only(self, screen: WorkingScreen[None]) -> None: ...
        async def action_log_out(self) -> None: ...
        def client_of(self, server: str) -> Client: ...
        def signed_in(self) -> Client: ...

    def on_login_screen_submitted(self, event: LoginScreen.Submitted) -> None:
        """Try to sign in."""
        self._try(partial(self._sign_in, event.server, event.email, event.password))

    def on_login_screen_asked(self, event: LoginScreen.Asked) -> None:
        """Ask a server what it offers."""
        self._try(partial(self._look, event.server), group="looking")

    def on_login_screen_chosen(self, event: LoginScreen.Chosen) -> None:
        """Take another way in."""
        self._try(partial(self._go, event))

    def on_sign_up_screen_signed_up(self, event: SignUpScreen.SignedUp) -> None:
        """Sign in with the account that waits for its code: so another mail can be asked for."""
        self._try(partial(self._await_code, event.email, event.password))

    def on_activation_screen_confirmed(self) -> None:
        """Go in, or to the sign-in."""
        self._try(self._confirmed)

    def on_activation_screen_left(self) -> None:
        """Go back to the sign-in."""
        self._try(self._left)

    async def on_reset_screen_done(self, event: ResetScreen.Done) -> None:
        """Let the person sign in with the new password."""
        await self.ask_to_sign_in("The new password is set: sign in with it.", event.email)

    def _try(self, work: Any, group: str = "signing in") -> None:
        _: Worker[None] = self.run_worker(work, group=group, exclusive=True, exit_on_error=False)

    async def _sign_in(self, server: str, email: str, password: str) -> None:
        try:
            client = await self.open_client(server, token=False)
            await client.login(email, password)
            user = await client.accounts.me()
            if user.confirmed:
                await self.enter()
            else:
                await self.ask_to_confirm(user.unconfirmed_email or email)
        except (ProjectWError, OSError, ValueError) as error:
            if isinstance(self.screen, LoginScreen):
                self.screen.refuse(sentence(error))

    async def _look(self, server: str) -> None:
        screen = self.screen
        if not isinstance(screen, LoginScreen):
            return
        try:
            # With a client of its own: another may be signing in meanwhile, and an address may be half typed.
            async with self.client_of(server) as client:
                about = await client.about()
        except (ProjectWError, OSError, ValueError):
            return  # said when one signs in
        screen.offer(about)

    async def _go(self, event: LoginScreen.Chosen) -> None:
        try:
            client = await self.open_client(event.server, token=False)
            if event.way == "sign-up":
                await self.push_screen(SignUpScreen(client, await client.about(), event.email))
            elif event.way == "reset":
                await self.push_screen(ResetScreen(client, event.email))
            else:
                await self.push_screen(ActivationScreen(client, signed_in=False))
        except (ProjectWError, OSError, ValueError) as error:
            if isinstance(self.screen, LoginScreen):
                self.screen.say(sentence(error))

    async def _await_code(self, email: str, password: str) -> None:
        client = self.signed_in()
        try:
            await client.login(email, password)
        except ProjectWError:
            # The code alone is enough; it is only that no other can be asked for.
            await self.show_only(ActivationScreen(client, email, signed_in=False))
        else:
            await self.ask_to_confirm(email)

    async def _confirmed(self) -> None:
        if await self.signed_in().is_signed_in():
            await self.enter()
        else:
            await self.ask_to_sign_in("The address is confirmed: sign in.")

    async def _left(self) -> None:
        if await self.signed_in().is_signed_in():
            await self.action_log_out()
        else:
            await self.ask_to_sign_in()
