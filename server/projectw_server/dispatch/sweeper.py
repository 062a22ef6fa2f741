"""The sweeper: what has to be done from time to time, each task on its own clock."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger(__name__)

LEASES_EVERY = 1.0
"""Seconds; a job whose lease has run out is queued again within 5."""
DELETIONS_EVERY = 600.0
CHECKPOINT_EVERY = 30.0


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    """Run ``work`` every ``seconds``, for ever; a database that is busy or full must not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:  # noqa: BLE001  nobody waits for this task; the next round tries again
            _log.exception("sweep failed", task=name)
