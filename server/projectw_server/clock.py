"""The server's clock: it begins with the time of day and then only goes forward, at one second a second.

A jump of the machine's clock so neither ends leases nor keeps them alive.
"""

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, immune to changes of the machine's clock while the server lives."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return self._epoch + time.monotonic()


def moment(seconds: float | None) -> datetime | None:
    """Return a stored time as it is sent, in UTC and to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(round(seconds, 3), UTC)
