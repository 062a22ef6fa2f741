"""Screens of several tabs, and what a tab has in common with the others: reading, refreshing, doing."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher, Footer, Tab, Tabs
from textual.worker import Worker, WorkerState

from projectw_shared.errors import Forbidden, NotConfirmed, ProjectWError, Unauthorized
from projectw_tui.client import Client
from projectw_tui.messages import RightsLost, WorkFailed
from projectw_tui.screens.base import WorkingScreen
from projectw_tui.widgets.connection_bar import ConnectionBar
from projectw_tui.widgets.status_line import StatusLine

EVERY = 5.0
"""Seconds after which what is looked at is read again."""


class Pane(Vertical):
    """What a tab shows. It is read when the tab is opened, and while it is looked at every few seconds."""

    TITLE = ""
    LIVE = True
    """Whether it is read again by itself; not where a person types."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "screen.tab(-1)", "Tab before", show=False),
        Binding("right", "screen.tab(1)", "Next tab", show=False),
    ]

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self._reading = asyncio.Lock()
        self._doing = False

    @abstractmethod
    async def read(self) -> None:
        """Ask the server for what there is, and show it."""

    @abstractmethod
    def begin(self) -> None:
        """Give the focus to where one begins."""

    def on_mount(self) -> None:
        """Keep what is looked at fresh."""
        if self.LIVE:
            self.set_interval(EVERY, self._read_again)

    @property
    def status(self) -> StatusLine:
        """Where to say what happens."""
        return self.screen.query_one(StatusLine)

    @property
    def is_looked_at(self) -> bool:
        """Whether the tab is open, and its screen in front."""
        return self.app.screen is self.screen and self.display

    def read_now(self) -> None:
        """Read; a slow server is not asked a second time meanwhile."""
        if not self._reading.locked():
            self._work(self._read)

    def _read_again(self) -> None:
        if self.is_looked_at and not self._doing:
            self.read_now()

    async def _read(self) -> None:
        async with self._reading:
            await self._told(self.read)

    async def _told(self, reading: Callable[[], Awaitable[None]]) -> None:
        """Read, and say when that does not work."""
        try:
            await reading()
        except (Unauthorized, NotConfirmed):
            raise
        except ProjectWError as error:
            if type(error) is Forbidden:  # the others are of a token, of an address, of a quota
                self.app.post_message(RightsLost(error.detail))
            self.status.trouble(error.detail)
        else:
            self.status.mended()

    def do(self, deed: Callable[[], Awaitable[str | None]]) -> None:
        """Do something and say what came of it: the words that ``deed`` returns, nothing for None."""
        if not self._doing:
            self._doing = True
            self._work(partial(self._do, deed))

    async def _do(self, deed: Callable[[], Awaitable[str | None]]) -> None:
        try:
            words = await deed()
        except (Unauthorized, NotConfirmed):
            raise
        except ProjectWError as error:
            self.status.fail(error.detail)
        else:
            if words is not None:
                self.status.say(words)
                await self._read()
        finally:
            self._doing = False

    def _work(self, work: Callable[[], Coroutine[Any, Any, None]], *, group: str = "default") -> None:
        _: Worker[None] = self.run_worker(
            work, group=group, exclusive=group != "default", exit_on_error=False
        )

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Hand a failure on to the one place that shows it."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.post_message(WorkFailed(event.worker.error))


class TabbedScreen(WorkingScreen[None]):
    """Tabs one beside the other; the one that is open has the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "read", "Refresh", tooltip="Read what is shown anew", show=False),
        Binding("ctrl+pageup", "tab(-1)", "Tab before", show=False),
        Binding("ctrl+pagedown", "tab(1)", "Next tab", show=False),
        Binding("escape", "leave", "Back"),
    ]

    def __init__(self, client: Client, person: str) -> None:
        super().__init__()
        self.client = client
        self._person = person

    @abstractmethod
    def panes(self) -> list[Pane]:
        """Return the tabs, in their order."""

    def compose(self) -> ComposeResult:
        """Lay out the tabs, and what happens below them."""
        yield ConnectionBar(self.client.server_url, self._person)
        panes = self.panes()
        titles = enumerate((pane.TITLE for pane in panes), start=1)
        yield Tabs(*(Tab(Content(f"{n} {title}"), id=f"tab-{n}") for n, title in titles))
        with ContentSwitcher():
            for n, pane in enumerate(panes, start=1):
                pane.id = f"pane-{n}"
                yield pane
        yield StatusLine()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Take the focus from the row of tabs: they are changed with keys that work everywhere."""
        self.query_one(Tabs).can_focus = False
        self.action_open(1)

    @property
    def open_pane(self) -> Pane:
        """The tab that is open."""
        found = self.query_one(f"#{self.query_one(ContentSwitcher).current}")
        assert isinstance(found, Pane), "the tabs hold nothing else"
        return found

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Follow the mouse."""
        self.action_open(int(str(event.tab.id).removeprefix("tab-")))

    def action_read(self) -> None:
        """Read what is shown anew."""
        self.open_pane.read_now()

    def action_open(self, number: int) -> None:
        """Open a tab by its number."""
        switcher = self.query_one(ContentSwitcher)
        if not 1 <= number <= len(switcher.children) or switcher.current == f"pane-{number}":
            return
        switcher.current = f"pane-{number}"
        # Its message comes later, and says what is so already.
        with self.prevent(Tabs.TabActivated):
            self.query_one(Tabs).active = f"tab-{number}"
        self.query_one(StatusLine).say("")
        self.open_pane.begin()
        self.open_pane.read_now()

    def action_tab(self, step: int) -> None:
        """Open the tab beside."""
        number = int(str(self.query_one(ContentSwitcher).current).removeprefix("pane-"))
        self.action_open((number - 1 + step) % len(self.query_one(ContentSwitcher).children) + 1)

    def action_leave(self) -> None:
        """Go back to the list of jobs."""
        self.app.pop_screen()


def tab_bindings(*titles: str) -> list[BindingType]:
    """Return the keys that open tabs by their number, named for the help and the palette."""
    return [
        Binding(str(n), f"open({n})", title, tooltip=f"Open: {title}", show=False)
        for n, title in enumerate(titles, start=1)
    ]
