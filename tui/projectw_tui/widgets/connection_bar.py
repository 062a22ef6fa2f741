"""The top line: the program, where and as whom one is signed in, and whether news arrive."""

import math
from time import monotonic

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.widgets import Static

from projectw_shared.text import fit, safe


class ConnectionBar(Horizontal):
    """Shows ``● live``, or ``○ reconnecting in 4 s`` while the line is down."""

    connected: reactive[bool | None] = reactive(None)
    """None before the first connection."""

    retry_at: reactive[float] = reactive(0.0)
    """When the next try comes, by the monotonic clock."""

    def __init__(self, place: str = "", person: str = "") -> None:
        super().__init__()
        self._place = safe(place)
        self._person = safe(person)

    def compose(self) -> ComposeResult:
        """Lay out title, place and state."""
        yield Static(Text("Project W"), id="program")
        yield Static(Text(""), id="place")
        yield Static(Text(""), id="line")

    def on_mount(self) -> None:
        """Count the seconds down while the line is down."""
        self._show_place()
        self._show()
        self._ticking = self.set_interval(1.0, self._show, pause=True)

    def on_resize(self) -> None:
        """Shorten the place to what there is room for."""
        self._show_place()

    def show_person(self, person: str) -> None:
        """Say as whom one is signed in."""
        self._person = safe(person)
        self._show_place()

    def watch_connected(self) -> None:
        """Show a change at once."""
        if self.is_mounted:
            self._ticking.resume() if self.connected is False else self._ticking.pause()
            self._show()

    def watch_retry_at(self) -> None:
        """Show a change at once."""
        if self.is_mounted:
            self._show()

    def _show_place(self) -> None:
        place = self._place.removeprefix("https://").removeprefix("http://")
        whole = " · ".join(part for part in (place, self._person) if part)
        self.query_one("#place", Static).update(Text(fit(whole, max(self.size.width - 40, 20))))

    def _show(self) -> None:
        line = self.query_one("#line", Static)
        line.set_class(self.connected is True, "-live")
        line.set_class(self.connected is False, "-lost")
        line.update(Text(self._words()))

    def _words(self) -> str:
        if self.connected is None:
            return "○ connecting"
        if self.connected:
            return "● live"
        seconds = math.ceil(self.retry_at - monotonic())
        return f"○ reconnecting in {seconds} s" if seconds > 0 else "○ reconnecting"
