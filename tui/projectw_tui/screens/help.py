"""Every key of the screen that one comes from."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from projectw_tui.keys import nodes_of, own_bindings, shown_keys

NOTES = """\
A lost connection mends itself; the top line says when. Jobs go on at the server while this window is closed.
Text is copied through the terminal (OSC 52); in tmux that needs: set -g allow-passthrough on."""


class HelpScreen(ModalScreen[None]):
    """The keys, taken from the bindings themselves, so that none is forgotten."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close", show=False),
        Binding("up,k", "scroll('up')", "Up", show=False),
        Binding("down,j", "scroll('down')", "Down", show=False),
    ]

    def __init__(self, of: Screen[object]) -> None:
        super().__init__()
        self._rows = keys_of(of)

    def compose(self) -> ComposeResult:
        """Lay out a table of keys."""
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="bold", no_wrap=True)
        table.add_column()
        for key, meaning in self._rows:
            table.add_row(Text(key), Text(meaning))
        with Vertical(classes="dialog help"):
            yield Static(Content("Keys"), classes="title")
            with VerticalScroll(can_focus=True):
                yield Static(table)
                yield Static(Content(NOTES), classes="note")
            yield Static(Content("esc closes"), classes="hint")

    def action_scroll(self, where: str) -> None:
        """Scroll the keys."""
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_down() if where == "down" else scroll.scroll_up()


def keys_of(screen: Screen[object]) -> list[tuple[str, str]]:
    """Return (keys, meaning) for all that can be done on ``screen``, also what does not apply just now."""
    rows: dict[str, list[str]] = {}
    for node in nodes_of(screen):
        for binding in own_bindings(type(node)):
            keys, shown = rows.setdefault(binding.tooltip or binding.description, []), shown_keys(binding)
            if shown not in keys:
                keys.append(shown)
    rows.setdefault("Find anything by its name", ["^p"])
    return [("  ".join(keys), meaning) for meaning, keys in rows.items()]
