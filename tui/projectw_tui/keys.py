"""The keys of this program's own screens and widgets, for the help and for the command palette."""

from collections.abc import Iterator
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

_SIGNS = {
    "slash": "/",
    "question_mark": "?",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "escape": "esc",
    "enter": "⏎",
}


def own_bindings(kind: type) -> Iterator[Binding]:
    """Yield the bindings that this program defines for ``kind``, not the many of the framework's widgets."""
    for each in kind.__mro__:
        if each.__module__.startswith("projectw_tui."):
            yield from (item for item in each.__dict__.get("BINDINGS", ()) if isinstance(item, Binding))


def nodes_of(screen: Screen[Any]) -> list[DOMNode]:
    """Return what has keys on ``screen``: the screen, what has the focus and what that stands in, the app."""
    focused = screen.focused
    inner = (
        [node for node in focused.ancestors_with_self if node not in (screen, screen.app)] if focused else []
    )
    return [screen, *inner, screen.app]


def shown_keys(binding: Binding) -> str:
    """Return the keys as one reads them."""
    if binding.key_display and "," not in binding.key:
        return binding.key_display
    return "  ".join(_SIGNS.get(key, key.replace("ctrl+", "^")) for key in binding.key.split(","))
