"""The roster: which runners there are, how fast they are, and when the waiting jobs will have their turn.

Looked up every few seconds. What is decided by it (who may try a job again, what people are told) does not have to
be exact.
"""

from collections.abc import Callable

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Database, Row
from projectw_server.dispatch.presence import Presence
from projectw_server.dispatch.speeds import learn
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.forecast import Speeds, Waiting, Worker, audio_seconds, model_of, play
from projectw_server.jobs.needs import offers_of
from projectw_server.jobs.outlook import Listed, Outlook
from projectw_shared.messages import Result

REFRESHED_EVERY = 2.0
FORECAST_EVERY = 5.0

PLAYED_JOBS = 2_000
"""The first so many of the queue have a forecast. Playing them through takes about 10 ms."""


class Roster:
    """Keeps the outlook of this server up to date."""

    def __init__(self, database: Database, presence: Presence, outlook: Outlook, clock: Clock) -> None:
        self._database = database
        self._presence = presence
        self._outlook = outlook
        self._clock = clock
        self._speeds = Speeds()
        self.on_change: list[Callable[[], object]] = []
        """Called when a need can be met that could not before, or the other way around."""

    async def refresh(self) -> None:
        """Look again at the runners and the queue."""
        now = self._clock.now()
        rows = await self._database.rows(
            "SELECT id, session, models, device, cordoned, draining, last_seen_at FROM runners"
            " WHERE session IS NOT NULL"
        )
        before = self._outlook.runners
        self._outlook.runners = [
            Listed(
                row["id"],
                frozenset(offers_of(msgspec.json.decode(row["models"], type=list[str]), row["device"] or "")),
                self._presence.is_online(row["id"], row["session"], row["last_seen_at"], now),
                not (row["cordoned"] or row["draining"]),
            )
            for row in rows
        ]
        if set(before) != set(self._outlook.runners):
            for call in self.on_change:
                call()

    async def forecast(self) -> None:
        """Play the queue through."""
        waiting = await self.waiting()
        turns = play(await self.workers(), waiting, await self.speeds()) if waiting else {}
        self._outlook.turns, self._outlook.made_at = turns, self._clock.now()

    async def learn(self, job: Row, result: Result) -> None:
        """Note how fast a runner was at ``job``, as it was before its ``result``."""
        await learn(self._database, self._clock, job, result)

    async def speeds(self) -> Speeds:
        """Return how fast the runners were."""
        measured = await self._database.rows("SELECT runner_id, model, language, factor FROM speeds")
        self._speeds = Speeds(
            (row["runner_id"], row["model"], row["language"], row["factor"]) for row in measured
        )
        return self._speeds

    async def workers(self) -> list[Worker]:
        """Return the runners that take jobs, and when each will be free."""
        held = await self._database.rows(
            "SELECT id, runner_id, needs, bytes, duration, resume_at FROM jobs"
            " WHERE state IN ('assigned', 'running')"
        )
        free_in: dict[str, float] = {}
        for row in held:
            left = self._outlook.progress.eta(row["id"])
            if left is None:
                speed = self._speeds.of(row["runner_id"], model_of(row["needs"])) or 1.0
                left = audio_seconds(row["duration"], row["bytes"], row["resume_at"]) / speed
            free_in[row["runner_id"]] = left
        return [
            Worker(runner.runner_id, runner.offers, free_in.get(runner.runner_id, 0.0))
            for runner in self._outlook.ready()
        ]

    async def waiting(self) -> list[Waiting]:
        """Return the first jobs of the queue."""
        rows = await self._database.rows(
            "SELECT id, needs, bytes, duration, resume_at FROM jobs WHERE state = 'queued'"
            " ORDER BY rank, start_tag, id LIMIT $1",
            PLAYED_JOBS,
        )
        return [
            Waiting(row["id"], row["needs"], audio_seconds(row["duration"], row["bytes"], row["resume_at"]))
            for row in rows
        ]

    def is_alone(self, holder: Holder) -> bool:
        """Tell whether no other runner is there that could do whatever ``holder`` can."""
        offers = frozenset(holder.offers)
        return not any(
            runner.runner_id != holder.runner_id and offers <= runner.offers
            for runner in self._outlook.ready()
        )
