"""The sweeper: what has to be done from time to time, each task on its own clock."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from projectw_server.dispatch.office import Office
from projectw_server.jobs.leases import Leases
from projectw_shared.errors import ProjectWError

_log = structlog.get_logger(__name__)

LEASES_EVERY = 1.0
"""Seconds; a job whose lease has run out is queued again within 5."""
DELETIONS_EVERY = 600.0
CHECKPOINT_EVERY = 30.0


class Sweeper:
    """Finds the leases that have run out, at one server of several."""

    def __init__(self, leases: Leases, office: Office) -> None:
        self._leases = leases
        self._office = office
        self.is_in_office = False

    async def sweep(self) -> None:
        """Defend what is held here; and in office, queue again what nobody holds any more."""
        self.is_in_office = await self._office.hold()
        if self.is_in_office:
            await self._leases.expire()
        else:
            await self._leases.defend()

    def if_in_office(self, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        """Return ``work`` for the server in office, and nothing to do for the others."""

        async def guarded() -> None:
            if self.is_in_office:
                await work()

        return guarded

    async def resign(self) -> None:
        """Leave the office to another server."""
        await self._office.resign()


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    """Run ``work`` every ``seconds``, for ever; a database that is busy or full must not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ProjectWError as error:
            _log.warning("sweep failed", task=name, reason=error.detail)
        except Exception:  # noqa: BLE001  nobody waits for this task; the next round tries again
            _log.exception("sweep failed", task=name)
