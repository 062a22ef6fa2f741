"""Identifiers: UUIDv7, so that sorting by id sorts by time of creation (RFC 9562, 5.7)."""

import os
import time
import uuid
from threading import Lock

_RANDOM_BITS = 74


class IdSource:
    """Makes UUIDv7 strings that never decrease within one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def new(self) -> str:
        """Return a fresh UUIDv7; of two calls the later one sorts later, also within a millisecond."""
        with self._lock:
            now = (time.time_ns() // 1_000_000) << _RANDOM_BITS
            if now > self._last:
                self._last = now | (int.from_bytes(os.urandom(10), "big") >> (80 - _RANDOM_BITS))
            else:
                # The clock stands still or went back: a random step keeps ids in order and unguessable.
                self._last += 1 + int.from_bytes(os.urandom(4), "big")
            return str(uuid.UUID(int=_lay_out(self._last)))


def _lay_out(value: int) -> int:
    """Spread 48 bits of time and 74 of randomness around version 7 and variant 10 (RFC 9562, 4.1, 4.2)."""
    milliseconds, rest = divmod(value, 1 << _RANDOM_BITS)
    rand_a, rand_b = divmod(rest, 1 << 62)
    return (milliseconds << 80) | (0x7 << 76) | (rand_a << 64) | (0x2 << 62) | rand_b


# The one thing made at import: an id is needed where no object is at hand to carry its source.
new_id = IdSource().new


def is_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in its canonical spelling, the only one that the API uses."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
