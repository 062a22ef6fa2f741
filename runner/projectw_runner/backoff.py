"""How long to wait before asking a server again that could not answer."""

import asyncio
import random

from projectw_shared.errors import ProjectWError, TooManyRequests, TooSlow, Unreachable

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
LONGEST_RETRY_AFTER = 20.0
"""Seconds. What a server asks for beyond this is not believed: a lease would be lost meanwhile."""


def passes_by_itself(error: ProjectWError) -> bool:
    """Tell whether ``error`` is about the server or the way to it, not about what was asked."""
    return error.status >= 500 or isinstance(error, Unreachable | TooManyRequests | TooSlow)


class Backoff:
    """Pauses that double from try to try, with jitter, so that a fleet does not come back in one wave."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self._first = first
        self._longest = longest
        self._next = first
        self.tries = 0
        """How many pauses there were since the last ``reset``."""

    def reset(self) -> None:
        """Begin anew, after an answer."""
        self._next = self._first
        self.tries = 0

    async def pause(self, error: ProjectWError | None = None) -> None:
        """Wait before the next try, at least as long as the Retry-After of ``error``."""
        asked = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER) if error else 0.0
        jittered = self._next * random.uniform(0.5, 1.0)  # noqa: S311  nobody gains by guessing it
        self._next = min(2 * self._next, self._longest)
        self.tries += 1
        await asyncio.sleep(max(asked, jittered))
