"""How late the load's own event loop is: a delay that is measured here is no delay of the server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

EVERY_SECONDS = 0.01


@asynccontextmanager
async def watched() -> AsyncIterator[list[float]]:
    """Yield a list that gathers, every 10 ms, by how many seconds the loop was late."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + EVERY_SECONDS
            await asyncio.sleep(EVERY_SECONDS)
            late.append(max(0.0, time.perf_counter() - due))

    watching = asyncio.create_task(watch())
    try:
        yield late
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
