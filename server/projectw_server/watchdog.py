"""The server's sign of life to its service manager, which ends and starts it anew when that stays out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from projectw_server.db import Database
from projectw_shared.supervision import Supervisor

PARTS = 4
"""How often within the time that is granted a sign is given."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def watching(supervisor: Supervisor, database: Database) -> AsyncIterator[None]:
    """Give signs of life during the block, if they are wanted."""
    task = asyncio.create_task(_beat(supervisor, database), name="watchdog")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _beat(supervisor: Supervisor, database: Database) -> None:
    """Say that the event loop turns and the database answers: the one sign needs both.

    A database that answers with an error answers; to begin anew would not help it. One from which nothing comes at
    all is what a lock looks like that nobody holds any more, and that does.
    """
    if supervisor.watchdog_seconds is None:
        return
    pause = supervisor.watchdog_seconds / PARTS
    while True:
        asking = asyncio.ensure_future(database.rows("SELECT 1"))
        await asyncio.wait([asking])
        if asking.exception() is not None:
            _log.debug("the database answers with an error", error=type(asking.exception()).__name__)
        supervisor.tell("WATCHDOG=1")
        await asyncio.sleep(pause)
