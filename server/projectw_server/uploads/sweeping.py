"""Orphans: recordings on the disk that no job knows.

They come from a server that ended between storing a recording and writing its job, from clients that went
away in that moment, and from deletions whose file could not be removed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from math import inf

import structlog

from projectw_server.storage.folder import FolderStore

INTERVAL_SECONDS = 3600.0
GRACE_SECONDS = 3600.0
"""How long a recording may be without a job: while it becomes durable, and while its job is being written."""

BATCH = 500
"""Ids that are asked for at once."""

_log = structlog.get_logger(__name__)

Known = Callable[[list[str]], Awaitable[set[str]]]
"""Tells which of the ids belong to jobs."""


class Sweeping:
    """Removes orphans, at the start and every hour."""

    def __init__(
        self,
        store: FolderStore,
        known: Known,
        *,
        grace_seconds: float = GRACE_SECONDS,
        clears_incoming: bool = False,
    ) -> None:
        self._store = store
        self._known = known
        self._grace = grace_seconds
        self._clears_incoming = clears_incoming

    async def run(self) -> None:
        """Sweep now and every hour, until cancelled."""
        while True:
            try:
                removed = await self.sweep()
            except Exception:  # noqa: BLE001  nobody waits for this task; the next round tries again
                _log.exception("orphaned recordings could not be swept")
            else:
                if removed:
                    _log.info("orphaned recordings removed", count=removed)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """Remove every orphan that is old enough, and return how many there were."""
        removed = 0
        if self._clears_incoming:
            # Of servers that have ended: what is still being received is written to every minute.
            await self._store.clear_incoming(written_before=time.time() - self._grace)
        async for ids in self._store.ids(written_before=time.time() - self._grace):
            for start in range(0, len(ids), BATCH):
                removed += await self._sweep_batch(ids[start : start + BATCH])
        return removed

    async def orphans(self) -> AsyncIterator[str]:
        """Yield every recording that belongs to no job, however old; removes nothing."""
        async for ids in self._store.ids(written_before=inf):
            for start in range(0, len(ids), BATCH):
                some = ids[start : start + BATCH]
                for id in sorted(set(some) - await self._known(some)):
                    yield id

    async def _sweep_batch(self, ids: list[str]) -> int:
        orphans = sorted(set(ids) - await self._known(ids))
        for id in orphans:
            await self._store.delete(id)
        return len(orphans)
