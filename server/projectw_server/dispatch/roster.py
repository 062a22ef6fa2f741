"""The roster: which runners there are, what they offer and whether they take jobs, looked up every few seconds.

What is decided by it (who may try a job again, why a job waits, when its turn comes) does not have to be exact.
"""

from dataclasses import dataclass

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Database
from projectw_server.dispatch.presence import Presence
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.needs import offers_of

REFRESHED_EVERY = 2.0


@dataclass(frozen=True)
class Listed:
    """A runner as the roster knows it."""

    runner_id: str
    offers: frozenset[str]
    is_online: bool
    takes_jobs: bool
    """Neither cordoned nor draining."""


class Roster:
    """All runners that are registered."""

    def __init__(self, database: Database, presence: Presence, clock: Clock) -> None:
        self._database = database
        self._presence = presence
        self._clock = clock
        self.runners: list[Listed] = []

    async def refresh(self) -> None:
        """Look again."""
        now = self._clock.now()
        self.runners = [
            Listed(
                row["id"],
                frozenset(offers_of(msgspec.json.decode(row["models"], type=list[str]), row["device"] or "")),
                self._presence.is_online(row["id"], row["session"], row["last_seen_at"], now),
                not (row["cordoned"] or row["draining"]),
            )
            for row in await self._database.rows(
                "SELECT id, session, models, device, cordoned, draining, last_seen_at FROM runners"
                " WHERE session IS NOT NULL"
            )
        ]

    def ready(self) -> list[Listed]:
        """Return the runners that are there and take jobs."""
        return [runner for runner in self.runners if runner.is_online and runner.takes_jobs]

    def is_alone(self, holder: Holder) -> bool:
        """Tell whether no other runner is there that could do whatever ``holder`` can."""
        offers = frozenset(holder.offers)
        return not any(
            runner.runner_id != holder.runner_id and offers <= runner.offers for runner in self.ready()
        )
