"""Limits on how often one address may call the doors at which something could be guessed."""

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from quart import Quart, request
from quart_rate_limiter import RateLimiter
from quart_rate_limiter.store import RateLimiterStoreABC

MAX_ADDRESSES = 10_000
"""Addresses remembered at once; under a flood the oldest are forgotten, and memory stays as it is."""


def install(app: Quart) -> None:
    """Enforce the limits that the doors of ``app`` declare."""
    RateLimiter(app, key_function=address, store=BoundedStore())


async def address() -> str:
    """Return the address of the connection.

    Not what X-Forwarded-For claims, as the limiter would by itself: that header is anyone's to write. Where
    a proxy is trusted, the ASGI server has put the client's address in its place already.
    """
    return request.remote_addr or "unknown"


class BoundedStore(RateLimiterStoreABC):
    """Remembers the limiter's times for the addresses that called last.

    The limiter reckons by the time of day. Here its times are kept by a clock that never jumps, or a correction of the
    machine's clock by an hour would refuse everybody for an hour.
    """

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self._most = most
        self._times: OrderedDict[str, float] = OrderedDict()

    async def before_serving(self) -> None:
        """Nothing is to be opened."""

    async def after_serving(self) -> None:
        """Nothing is to be closed."""

    async def get(self, key: str, default: datetime) -> datetime:
        """Return the time that is kept under ``key``."""
        if (until := self._times.get(key)) is None:
            return default
        return datetime.now(UTC) + timedelta(seconds=until - time.monotonic())

    async def set(self, key: str, tat: datetime) -> None:
        """Keep ``tat`` (theoretical arrival time: when the limit is as if nobody had called)."""
        self._times[key] = time.monotonic() + (tat - datetime.now(UTC)).total_seconds()
        self._times.move_to_end(key)
        if len(self._times) > self._most:
            self._forget()

    def _forget(self) -> None:
        now = time.monotonic()
        for key in [key for key, until in self._times.items() if until <= now]:
            del self._times[key]
        while len(self._times) > self._most:
            self._times.popitem(last=False)
