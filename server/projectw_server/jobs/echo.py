"""Momentary news, shown to those who watch here: progress that other servers have heard of, and why jobs wait."""

import asyncio

import structlog

from projectw_server.clock import Clock
from projectw_server.db import Database, marks
from projectw_server.events.bus import Bus
from projectw_server.events.signals import Progressed
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.order import positions

MOST_AT_ONCE = 200
RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Echo:
    """Keeps what was heard, and sends the jobs that somebody watches, as they are now."""

    def __init__(self, database: Database, moves: Moves, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._moves = moves
        self._bus = bus
        self._clock = clock
        self._due: set[str] = set()
        self._owners_due: set[str] = set()
        self._wake = asyncio.Event()

    def hear(self, signal: Progressed) -> None:
        """Note the progress of a job that reports to another server."""
        is_news = self._moves.progress.note(signal.job_id, signal.lease, signal.progress, self._clock.now())
        if is_news and self._bus.is_watched(signal.owner_id):
            self._due.add(signal.job_id)
            self._wake.set()

    def show_waiting(self) -> None:
        """Send the waiting jobs of those who watch: what they wait for may have changed."""
        self._owners_due.update(self._bus.watched())
        if self._owners_due:
            self._wake.set()

    async def run(self) -> None:
        """Send for as long as the server lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            ids = [self._due.pop() for _ in range(min(len(self._due), MOST_AT_ONCE))]
            owner = self._owners_due.pop() if self._owners_due else None
            if self._due or self._owners_due:
                self._wake.set()
            try:
                if ids:
                    await self._show(ids)
                if owner is not None:
                    await self._show_waiting(owner)
            except Exception:  # noqa: BLE001  nobody waits for this task; the next progress is shown again
                _log.exception("progress could not be shown")
                await asyncio.sleep(RETRY_SECONDS)

    async def _show(self, ids: list[str]) -> None:
        for row in await self._database.rows(
            f"SELECT * FROM jobs WHERE id IN ({marks(len(ids))}) AND state IN ('assigned', 'running')",  # noqa: S608  marks only
            *ids,
        ):
            self._moves.show(row)

    async def _show_waiting(self, owner_id: str) -> None:
        rows = await self._database.rows(
            "SELECT * FROM jobs WHERE state = 'queued' AND owner_id = $1 ORDER BY rank, start_tag, id LIMIT $2",
            owner_id,
            MOST_AT_ONCE,
        )
        places = await positions(self._database, rows)
        for row in rows:
            self._moves.show(row, places.get(row["id"]))
