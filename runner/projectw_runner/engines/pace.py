"""How many windows a batch has."""

from typing import Final

STEP_SECONDS: Final = 2.5
"""How long a batch is meant to take: less than 5, with room for windows that are decoded again."""


class Pace:
    """How many windows are decoded at once: ever more, as long as a batch keeps to its time and ``most`` allows."""

    def __init__(self, most: int, *, first: int = 1) -> None:
        self._most = most
        self.count = min(first, most)
        """The windows of the next batch."""

    def note(self, windows: int, seconds: float) -> None:
        """Learn from a batch how many the next one may have."""
        if windows:
            fitting = int(STEP_SECONDS * windows / max(seconds, 1e-3))
            self.count = max(1, min(fitting, 2 * self.count, self._most))

    def limit(self, most: int) -> None:
        """Never again decode more than ``most`` at once, because memory did not do."""
        self._most = min(self._most, most)
        self.count = min(self.count, self._most)
