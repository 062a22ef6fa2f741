"""Blocking work in threads, with an end that a cancelled caller can rely on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def settled(executor: Executor, work: Callable[..., T], *arguments: object) -> T:
    """Run ``work`` in a thread of ``executor`` and return its result.

    A cancelled caller gets the cancellation only when the thread has finished: a file can be closed and
    removed at once, because nobody writes to it any more.
    """
    running = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # seen, so that asyncio does not report it as forgotten
        raise cancelled
    return running.result()
