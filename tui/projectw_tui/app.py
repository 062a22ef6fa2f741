"""The full-screen program: who is signed in, which news arrive, and what is said when something fails."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, ClassVar, NoReturn

import msgspec
from rich.segment import Segments
from rich.text import Text
from textual import events
from textual.app import App, InvalidThemeError
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from projectw_shared.accounts import User
from projectw_shared.errors import NotConfirmed, ProjectWError, Unauthorized
from projectw_shared.messages import Job, JobDeleted, SegmentsAdded
from projectw_shared.text import safe, shorten
from projectw_shared.tracebacks import told
from projectw_tui.client import Client
from projectw_tui.clipboard import TooLongToCopy, osc52
from projectw_tui.commands import Actions
from projectw_tui.entrance import Entrance
from projectw_tui.live import PASSING, Connected, Disconnected, Feed, News, Reset
from projectw_tui.messages import (
    JobChanged,
    JobRemoved,
    LineChanged,
    PersonKnown,
    ReadAnew,
    RightsLost,
    SegmentsArrived,
    SignedOut,
    WorkFailed,
)
from projectw_tui.screens.activation import ActivationScreen
from projectw_tui.screens.base import WorkingScreen
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.help import HelpScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.login import LoginScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.theme import CALM
from projectw_tui.wording import sentence

__all__ = ["InvalidThemeError", "ProjectWApp"]


LONGEST_NOTICE = 600
"""Characters of a notice, which is seen for some seconds and covers what is behind it."""


class ProjectWApp(Entrance, App[None]):
    """The terminal's window on one server."""

    TITLE = "Project W"
    CSS_PATH = "styles/app.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Actions}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  as Textual types it

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", tooltip="Show every key", key_display="?"),
        Binding("ctrl+t", "change_theme", "Colours", tooltip="Choose the colours", show=False),
        Binding("ctrl+l", "log_out", "Log out", tooltip="Log out", show=False),
        # With priority it counts in dialogs, too.
        Binding(
            "ctrl+q", "quit", "Quit", tooltip="Leave; jobs go on at the server", show=False, priority=True
        ),
    ]

    def __init__(self, settings: TuiSettings, *, token: str | None = None) -> None:
        super().__init__()
        self.register_theme(CALM)
        self.theme = settings.theme
        self._settings = settings
        self._token = token
        self._client: Client | None = None
        self._listening: Worker[None] | None = None
        self._line: LineChanged | None = None
        self._asks_to_leave = False
        self.person: User | None = None
        """Who is signed in, once the server has said so."""

    # --- coming and going ---------------------------------------------------------------------------------

    async def on_mount(self) -> None:
        """Go where the person left off: to the jobs, or to the sign-in."""
        await self.open_client(self._settings.server_url)
        if self._client is not None and await self._client.is_signed_in():
            await self.enter()
        else:
            await self.ask_to_sign_in()

    async def on_unmount(self) -> None:
        """Close the connections."""
        await self._close_client()

    def client_of(self, server: str) -> Client:
        """Return a client for ``server``, not opened yet.

        Raises ValueError for an address that is none, OSError for a file that cannot be read.
        """
        return Client(msgspec.structs.replace(self._settings, server_url=server), token=self._token)

    async def open_client(self, server: str, *, token: bool = True) -> Client:
        """Turn to ``server``; without ``token`` a given one is left aside from then on. Raises as ``client_of``."""
        self._token = self._token if token else None
        client = self.client_of(server)
        await self._close_client()
        self._settings = msgspec.structs.replace(self._settings, server_url=server)
        self._client = await client.__aenter__()
        return self._client

    async def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)

    async def enter(self) -> None:
        """Show the jobs of the person who is signed in, and listen for news."""
        client = self.signed_in()
        self.person = None
        email = await client.email() or ""
        await self.show_only(JobsScreen(client, self._settings, email))
        self._listening = self.run_worker(
            partial(self._listen, Feed(client)), group="live", exit_on_error=False
        )

    async def leave(self) -> None:
        """Stop listening: nobody is signed in, or not yet let in."""
        self.person = None
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def ask_to_sign_in(self, reason: str = "", email: str = "") -> None:
        """Show the sign-in and nothing else."""
        await self.leave()
        await self.show_only(LoginScreen(self._settings.server_url, reason, email))

    async def ask_to_confirm(self, address: str = "") -> None:
        """Let a person who is signed in confirm the address first."""
        if isinstance(self.screen, ActivationScreen):
            return
        await self.leave()
        await self.show_only(ActivationScreen(self.signed_in(), address, signed_in=True))

    async def show_only(self, screen: WorkingScreen[None]) -> None:
        """Show ``screen`` in place of all others."""
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        await self.push_screen(screen)

    async def action_log_out(self) -> None:
        """End the session, after which the list is not shown any more."""
        if self._client is None or isinstance(self.screen, LoginScreen):
            return
        # Offline, the session is forgotten here and runs out at the server by itself.
        with contextlib.suppress(ProjectWError):
            await self._client.logout()
        await self.ask_to_sign_in("You are logged out.")

    async def on_rights_lost(self, event: RightsLost) -> None:
        """Take away what was an admin's to see, and ask anew who is signed in."""
        while not isinstance(self.screen, JobsScreen) and len(self.screen_stack) > 2:
            await self.pop_screen()
        self.notify(event.reason, severity="warning")
        await self._learn_person()

    async def on_signed_out(self, event: SignedOut) -> None:
        """Go back to the sign-in."""
        await self.ask_to_sign_in(event.reason)

    def signed_in(self) -> Client:
        """Return the client. Raises Unauthorized when there is none."""
        if self._client is None:
            raise Unauthorized
        return self._client

    async def _learn_person(self) -> None:
        """Ask who is signed in, which the screens then show."""
        try:
            user = await self.signed_in().accounts.me()
        except PASSING:
            return  # asked again with the next connection
        if user.confirmed:
            self.post_message(PersonKnown(user))
        else:
            await self.ask_to_confirm(user.unconfirmed_email or "")

    async def _confirm_first(self) -> None:
        address = ""
        with contextlib.suppress(*PASSING):
            address = (await self.signed_in().accounts.me()).unconfirmed_email or ""
        await self.ask_to_confirm(address)

    def on_person_known(self, event: PersonKnown) -> None:
        """Tell every screen."""
        self.person = event.user
        for screen in self.screen_stack:
            if isinstance(screen, WorkingScreen):
                screen.know(event.user)

    async def action_quit(self) -> None:
        """Leave; with uploads under way only after a question."""
        unsent = sum(screen.outbox.unsent for screen in self.screen_stack if isinstance(screen, JobsScreen))
        if not unsent:
            self.exit()
            return
        if self._asks_to_leave:
            return
        self._asks_to_leave = True
        what = "1 recording is" if unsent == 1 else f"{unsent} recordings are"
        question = ConfirmScreen("Leave?", f"{what} not at the server yet and would not be sent.", "Leave")
        self.push_screen(question, self._leave_or_stay)

    def _leave_or_stay(self, leave: bool | None) -> None:
        self._asks_to_leave = False
        if leave:
            self.exit()

    def action_help_quit(self) -> None:
        """Say how one leaves: the framework's own words hold markup, which no notice here interprets."""
        self.notify("ctrl+q leaves; jobs go on at the server.")

    def action_help(self) -> None:
        """Show the keys of this screen."""
        self.push_screen(HelpScreen(self.screen))

    # --- news ---------------------------------------------------------------------------------------------

    async def _listen(self, feed: Feed) -> None:
        async for news in feed.news():
            if isinstance(news, Connected):
                _: Worker[None] = self.run_worker(
                    self._learn_person, group="person", exclusive=True, exit_on_error=False
                )
            for message in self._messages_of(news):
                # A message each: one that a screen has marked as handled would be lost to the next.
                for screen in self.screen_stack:
                    # Not to the framework's empty first screen: whatever it hears, it draws everything anew.
                    if isinstance(screen, WorkingScreen):
                        screen.post_message(message())

    def _messages_of(self, news: News) -> list[Callable[[], Message]]:
        match news:
            case Job():
                return [lambda: JobChanged(news)]
            case SegmentsAdded():
                return [lambda: SegmentsArrived(news.job_id, news.segments)]
            case JobDeleted():
                return [lambda: JobRemoved(news.job_id)]
            case Reset():
                return [lambda: ReadAnew(everything=True)]
            case Connected():
                return [
                    self._line_is(connected=True),
                    lambda: ReadAnew(everything=not news.resumed),
                ]
            case Disconnected():
                return [self._line_is(connected=False, reason=news.reason, retry_at=monotonic() + news.pause)]

    def _line_is(self, **values: Any) -> Callable[[], LineChanged]:
        self._line = LineChanged(**values)
        return lambda: LineChanged(**values)

    def push_screen(self, screen: Any, *args: Any, **kwargs: Any) -> Any:
        """Show a screen, and tell it how the line stands."""
        pushed = super().push_screen(screen, *args, **kwargs)
        if self._line is not None and not isinstance(screen, str):
            line = self._line
            self.call_later(
                screen.post_message,
                LineChanged(connected=line.connected, reason=line.reason, retry_at=line.retry_at),
            )
        return pushed

    # --- what went wrong, and the clipboard ---------------------------------------------------------------

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Hand on what failed in the app's own work."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.post_message(WorkFailed(event.worker.error))

    async def on_work_failed(self, event: WorkFailed) -> None:
        """Show what failed in the background: the one place for it."""
        error = event.error
        if isinstance(error, Unauthorized):
            if not isinstance(self.screen, LoginScreen):
                address = self.person.email if self.person is not None else ""
                await self.ask_to_sign_in("Your session has ended: sign in again.", address)
        elif isinstance(error, NotConfirmed):
            _: Worker[None] = self.run_worker(
                self._confirm_first, group="person", exclusive=True, exit_on_error=False
            )
        elif isinstance(error, ProjectWError | OSError):
            self.notify(sentence(error), severity="error")
        else:
            _fail(error)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notice, always as plain and harmless text: most of them name a file or quote a server."""
        plain = shorten(safe(message, keep_newlines=True), LONGEST_NOTICE)
        super().notify(plain, title=safe(title), severity=severity, timeout=timeout, markup=False)

    async def on_event(self, event: events.Event) -> None:
        """Let only harmless text be pasted into a field that shows it: the field draws what it holds."""
        if isinstance(event, events.Paste) and not (
            isinstance(self.focused, Input) and self.focused.password
        ):
            event.text = safe(event.text, keep_newlines=True)
        await super().on_event(event)

    def _fatal_error(self) -> None:
        # The framework would print the local variables of every frame: tokens, transcripts and file names, raw.
        self.bell()
        found = told(self._exception) if self._exception is not None else ""
        traceback = Text(f"projectw ends by an error that was not foreseen\n{found}")
        self._exit_renderables.append(Segments(self.console.render(traceback, self.console.options)))
        self._close_messages_no_wait()

    def copy_to_clipboard(self, text: str) -> None:
        """Copy through the terminal, and say what came of it."""
        if not text:
            self.notify("There is nothing to copy yet.", severity="warning")
            return
        try:
            sequence = osc52(text, os.environ)
        except TooLongToCopy as error:
            self.notify(str(error), severity="warning")
            return
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(sequence)
        self.notify(f"Copied {len(text):,} characters.")


def _fail(error: BaseException) -> NoReturn:
    """Let the program end with what nobody expected, as a fault in it."""
    raise error
