"""The lag of the event loop: how much later than asked for it comes to what is due."""

import asyncio
from collections.abc import Callable

INTERVAL_SECONDS = 0.1
"""Between two looks. Short, because the door of the server goes by it; a look takes microseconds."""


class Lag:
    """Watches the event loop that it runs in."""

    def __init__(self, note: Callable[[float], object]) -> None:
        self._note = note
        self._last = 0.0
        self._due: float | None = None

    async def watch(self) -> None:
        """Look again and again, until cancelled; ``note`` hears of each look."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._due = loop.time() + INTERVAL_SECONDS
                await asyncio.sleep(INTERVAL_SECONDS)
                self._last = max(0.0, loop.time() - self._due)
                self._note(self._last)
        finally:
            self._due, self._last = None, 0.0

    def now(self) -> float:
        """Return the lag in seconds: that of the last look, or more when the next one is overdue; 0 unwatched."""
        if self._due is None:
            return 0.0
        return max(self._last, asyncio.get_running_loop().time() - self._due)
