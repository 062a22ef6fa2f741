"""The keys of this program's own screens and widgets, for the help and for the command palette."""

from collections.abc import Iterator

from textual.binding import Binding

_SIGNS = {"slash": "/", "question_mark": "?", "up": "↑", "down": "↓", "escape": "esc", "enter": "⏎"}


def own_bindings(kind: type) -> Iterator[Binding]:
    """Yield the bindings that this program defines for ``kind``, not the many of the framework's widgets."""
    for each in kind.__mro__:
        if each.__module__.startswith("projectw_tui."):
            yield from (item for item in each.__dict__.get("BINDINGS", ()) if isinstance(item, Binding))


def shown_keys(binding: Binding) -> str:
    """Return the keys as one reads them."""
    if binding.key_display and "," not in binding.key:
        return binding.key_display
    return "  ".join(_SIGNS.get(key, key.replace("ctrl+", "^")) for key in binding.key.split(","))
