"""One line of progress on stderr, where stderr is a terminal."""

import shutil
import sys
from time import monotonic

from projectw_shared.text import columns, fit, safe
from projectw_tui.display import bar, percent

RHYTHM = 0.1
"""Seconds between two drawings."""


class Meter:
    """Draws over itself; silent where nobody would see it move."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._line = ""

    def show(self, name: str, fraction: float, note: str = "") -> None:
        """Show how far ``name`` is, 0 to 1."""
        done, rest = bar(fraction, 20)
        width = shutil.get_terminal_size().columns - 1
        tail = f" {done}{rest} {percent(fraction):>4}  {fit(safe(note), 20)}".rstrip()
        self._draw(fit(f"{fit(safe(name), max(width - columns(tail), 8))}{tail}", width))

    def clear(self) -> None:
        """Leave an empty line for other talk."""
        if self._shown and self._line:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
        self._line, self._drawn_at = "", 0.0

    def _draw(self, line: str) -> None:
        if not self._shown or line == self._line or monotonic() - self._drawn_at < RHYTHM:
            return
        sys.stderr.write(f"\r\x1b[2K{line}")
        sys.stderr.flush()
        self._line, self._drawn_at = line, monotonic()
