"""Work that takes a core for a while: beside the event loop, and never more at once than the machine can bear."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from projectw_shared.errors import Unavailable

T = TypeVar("T")

YIELDING = 5
"""The niceness of threads that let others go first: about a third of what the event loop gets of a contested core."""


REFUSALS_A_SECOND = 50.0
LONGEST_REFUSAL_SECONDS = 5.0
"""Who is refused is held back for a moment, or a crowd that comes again at once would take all of the server."""


class Threads:
    """At most ``workers`` pieces of work at once, at most ``waiting`` that wait.

    With ``yielding`` they take only what the event loop leaves of the cores. That is for work which lets go of the
    interpreter's lock; other work would keep the lock while it is kept from its core.
    """

    def __init__(self, name: str, *, workers: int, waiting: int, yielding: bool = False) -> None:
        self._pool = ThreadPoolExecutor(
            workers, thread_name_prefix=name, initializer=_yield if yielding else None
        )
        self._room = BoundedSemaphore(workers + waiting)
        self._next_refusal = 0.0

    @property
    def is_full(self) -> bool:
        """Whether further work would be refused just now."""
        if self._room.acquire(blocking=False):
            self._room.release()
            return False
        return True

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; Unavailable when too much waits already."""
        if not self._room.acquire(blocking=False):
            await self._hold_back()
            raise Unavailable("Too many people are signing in at this moment; try again", retry_after=1)
        try:
            future: Future[T] = self._pool.submit(work)
        except RuntimeError as error:
            self._room.release()
            raise Unavailable("The server is stopping; try again", retry_after=5) from error
        # Not in a finally: a cancelled caller leaves, and its work still occupies a worker.
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)

    async def _hold_back(self) -> None:
        now = time.monotonic()
        turn = max(now, self._next_refusal)
        self._next_refusal = min(turn + 1 / REFUSALS_A_SECOND, now + LONGEST_REFUSAL_SECONDS)
        await asyncio.sleep(turn - now)

    def close(self) -> None:
        """Let the threads end, and drop what still waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _yield() -> None:
    # On Linux a priority is a thread's own, although POSIX says that it is the process's.
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), YIELDING)


def spare_cores() -> int:
    """Return how many cores there are beside the event loop's, at least one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)
