"""The server's core without its doors: queue, leases, feed and dispatcher over a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.clock import Clock
from projectw_server.db import Database
from projectw_server.dispatch.dispatcher import Dispatcher
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.presence import Presence
from projectw_server.dispatch.roster import Roster
from projectw_server.events.bus import Bus
from projectw_server.events.signals import NoRelay, Relay, Signals
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.feed import Feed
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.needs import offers_of
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.progress import Progress
from projectw_server.jobs.quotas import Quotas
from projectw_server.jobs.service import Jobs, Recording
from projectw_server.jobs.transcripts import Transcripts
from projectw_server.settings import ServerSettings
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Assignment, HeldJob, Job, Registration, Result, ResultError
from projectw_shared.transcripts import Segment

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 15.0
MAX_ATTEMPTS = 3
MAX_FAILURES_IN_ROW = 4
OFFERS = offers_of(["tiny"], "cpu")


class SetClock(Clock):
    """A clock that only goes on when it is told to."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


class Core:
    """Everything behind the doors that has to do with jobs, and short ways to use it."""

    def __init__(self, database: Database, clock: SetClock | None = None, relay: Relay | None = None) -> None:
        self.database = database
        self.clock = clock or SetClock()
        self.bus = Bus()
        self.progress = Progress()
        self.outlook = Outlook(self.progress)
        self.signals = Signals(relay or NoRelay())
        self.moves = Moves(
            clock=self.clock,
            bus=self.bus,
            signals=self.signals,
            outlook=self.outlook,
            max_attempts=MAX_ATTEMPTS,
        )
        self.leases = Leases(database, self.moves, self.clock, lease_seconds=LEASE_SECONDS)
        self.jobs = Jobs(database, self.moves, self.outlook, self.clock, Quotas(ServerSettings()))
        self.transcripts = Transcripts(database)
        self.feed = Feed(database, self.bus, self.outlook, self.clock)
        self.presence = Presence(HEARTBEAT_SECONDS)
        self.fleet = Fleet(
            database,
            self.leases,
            self.presence,
            self.signals,
            self.clock,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            lease_seconds=LEASE_SECONDS,
            max_failures_in_row=MAX_FAILURES_IN_ROW,
        )
        self.roster = Roster(database, self.presence, self.outlook, self.clock)
        self.dispatcher = Dispatcher(
            self.leases, self.fleet, self.roster, self.signals, heartbeat_seconds=HEARTBEAT_SECONDS
        )

    async def person(self, *, is_admin: bool = False) -> Person:
        person_id = new_id()
        await self.database.rows(
            "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
            " VALUES ($1, $2, '', FALSE, FALSE, 0)",
            person_id,
            f"{person_id}@example.org",
        )
        return Person(person_id, f"{person_id}@example.org", is_admin, 0.0)

    async def runner(self, name: str = "gpu") -> RunnerIdentity:
        runner_id = new_id()
        await self.database.rows(
            "INSERT INTO runners (id, name, token_hash, models, cordoned, draining, failures_in_row, created_at)"
            " VALUES ($1, $2, $1, '[]', FALSE, FALSE, 0, 0)",
            runner_id,
            name,
        )
        return RunnerIdentity(runner_id, name)

    async def register(
        self, runner: RunnerIdentity, models: list[str] | None = None, device: str = "cpu"
    ) -> Holder:
        models = ["tiny"] if models is None else models
        registration = Registration(runner.name, "1.0", "fake", device, models)
        registered = await self.fleet.register(runner, registration)
        return Holder(runner.id, registered.session, runner.name, "1.0", offers_of(models, device))

    async def holder(self, name: str = "gpu") -> Holder:
        """A runner with a registration."""
        return await self.register(await self.runner(name))

    async def submit(
        self,
        person: Person,
        *,
        size: int = 1000,
        name: str = "talk.wav",
        priority: int = 0,
        key: str | None = None,
        settings: JobSettings | None = None,
    ) -> Job:
        recording = Recording(new_id(), name, "audio/wav", size, "0" * 64)
        return await self.jobs.submit(person, recording, settings or JobSettings(priority=priority), key)

    async def claim(self, holder: Holder) -> Assignment:
        assignment = await self.leases.claim(holder)
        assert assignment is not None, "no job waits"
        return assignment

    async def finish(self, holder: Holder, held: Assignment, count: int = 0) -> None:
        await self.leases.finish(holder.runner_id, held.id, Result(held.lease, next=count))

    async def fail(
        self, holder: Holder, held: Assignment, code: str = "broken", *, retryable: bool = False
    ) -> None:
        error = ResultError(code, "It broke", retryable=retryable)
        await self.leases.finish(holder.runner_id, held.id, Result(held.lease, error=error))

    async def row(self, job_id: str) -> dict[str, object]:
        row = await self.database.row("SELECT * FROM jobs WHERE id = $1", job_id)
        assert row is not None
        return row

    @asynccontextmanager
    async def matching(self) -> AsyncIterator[None]:
        """The dispatcher's task runs."""

        task = asyncio.create_task(self.dispatcher.match())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def segments(first: int, count: int) -> list[Segment]:
    return [Segment(n, float(n), n + 1.0, f" word {n}") for n in range(first, first + count)]


def beat(held: Assignment, progress: float = 0.0, **told: object) -> HeldJob:
    return HeldJob(held.id, held.lease, progress, **told)  # type: ignore[arg-type]  # told by keyword


def appending(held: Assignment, first: int, count: int, resume_at: float | None = None) -> HeldJob:
    return beat(held, first=first, segments=segments(first, count), resume_at=resume_at)
