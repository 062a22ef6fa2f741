"""The server's core, called as its doors call it, each call noted in a history as the proxy notes it on the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.db import Database, open_database
from projectw_server.jobs.service import Recording
from projectw_shared.errors import ProjectWError
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Assignment, Heartbeat, HeldJob, Registration, Result
from tests.chaos import snapshot
from tests.chaos.history import History
from tests.chaos.invariants import Evidence, violations
from tests.chaos.recordings import BYTES_PER_SECOND, HEADER_BYTES
from tests.server.core import MAX_ATTEMPTS, Core, SetClock

T = TypeVar("T")

BYTES: Final = HEADER_BYTES + 22 * BYTES_PER_SECOND
SEGMENTS: Final = 5

TABLES: Final = (
    "deliveries", "segments", "deletions", "shares", "virtual_times", "speeds", "jobs", "feeds", "sessions", "runners",
    "users",
)  # fmt: skip


class Ground:
    """One migrated database that many examples use one after the other, with an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite://{folder / 'protocol.sqlite3'}"
        self._loop = asyncio.Runner()
        self._held = AsyncExitStack()
        self.database: Database = self.run(self._held.enter_async_context(open_database(self.url)))
        # Nothing here has to outlive a loss of power.
        self.run(self.database.rows("PRAGMA synchronous = OFF"))

    def run(self, work: Awaitable[T]) -> T:
        """Run ``work`` to its end."""

        async def whole() -> T:
            return await work

        return self._loop.run(whole())

    def clear(self) -> None:
        """Forget every row."""
        for table in TABLES:
            self.run(self.database.rows(f"DELETE FROM {table}"))

    def close(self) -> None:
        """Close the database and the loop."""
        self.run(self._held.aclose())
        self._loop.close()


class Doors:
    """The calls of people and runners. An error is noted with its status, and None is returned."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._clock = SetClock()
        self.core = Core(ground.database, self._clock)
        self.history = History()
        self._jobs = 0

    def call(
        self,
        who: str,
        method: str,
        path: str,
        body: Any,
        work: Callable[[], Awaitable[T]],
        *,
        key: str | None = None,
    ) -> T | None:
        """Note the request, do it, and note what came of it."""
        number = self.history.ask(who, method, path, msgspec.to_builtins(body), key)
        try:
            reply = self._ground.run(work())
        except ProjectWError as error:
            self.history.answer(number, error.status, {"code": error.code, **error.extensions})
            return None
        self.history.answer(number, 201 if path == "/api/jobs" else 200, msgspec.to_builtins(reply))
        return reply

    def person(self) -> Person:
        """Return a new person."""
        return self._ground.run(self.core.person())

    def runner(self) -> RunnerIdentity:
        """Return a new runner's account."""
        return self._ground.run(self.core.runner())

    def submit(self, person: Person) -> str:
        """Submit a recording of five segments."""
        self._jobs += 1
        settings = JobSettings(temperature=self._jobs / 1000)
        recording = Recording(new_id(), "talk.wav", "audio/wav", BYTES, "0" * 64)
        job = self.call(
            person.id, "POST", "/api/jobs", None, lambda: self.core.jobs.submit(person, recording, settings)
        )
        assert job is not None
        return job.id

    def ask(self, person: Person, what: str, job_id: str) -> bool:
        """Cancel, retry or delete a job, or read its segments; tell whether that was taken."""
        jobs, path = self.core.jobs, f"/api/jobs/{job_id}"
        match what:
            case "delete":
                done = self.call(person.id, "DELETE", path, None, lambda: self._deleted(person, job_id))
            case "segments":
                work = lambda: self.core.transcripts.since(person.id, job_id, 0)  # noqa: E731
                done = self.call(person.id, "GET", f"{path}/segments", None, work)
            case _:
                act = {"cancel": jobs.cancel, "retry": jobs.retry}[what]
                done = self.call(person.id, "POST", f"{path}/{what}", None, lambda: act(person, job_id))
        return done is not None

    async def _deleted(self, person: Person, job_id: str) -> bool:
        await self.core.jobs.delete(person, job_id)
        return True

    def register(self, runner: RunnerIdentity) -> str:
        """Begin a session."""
        registration = Registration("gpu", "1.0", "fake", "cpu", ["tiny"])
        work = lambda: self.core.fleet.register(runner, registration)  # noqa: E731
        registered = self.call(runner.id, "POST", "/api/runners/register", registration, work)
        assert registered is not None
        return registered.session

    def unregister(self, runner: RunnerIdentity, session: str) -> None:
        """End a session."""
        work = lambda: self.core.dispatcher.unregister(runner, session)  # noqa: E731
        self.call(runner.id, "POST", "/api/runners/unregister", {"session": session}, work)

    def beat(self, runner: RunnerIdentity, session: str, held: HeldJob | None = None) -> Assignment | None:
        """Send a heartbeat that does not wait, and return the job that it brought."""
        beat = Heartbeat(session, 0.0, held)
        work = lambda: self.core.dispatcher.heartbeat(runner, beat)  # noqa: E731
        reply = self.call(runner.id, "POST", "/api/runners/heartbeat", beat, work)
        return reply.job if reply else None

    def finish(self, runner: RunnerIdentity, job_id: str, result: Result) -> None:
        """Send a result."""
        work = lambda: self.core.dispatcher.finish(runner, job_id, result)  # noqa: E731
        self.call(runner.id, "POST", f"/api/runners/jobs/{job_id}/result", result, work)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and the leases that ran out be noticed."""
        self._clock.advance(seconds)
        self._ground.run(self.core.leases.expire())

    def restart(self) -> None:
        """Forget all that is only in memory, as a server that starts."""
        self.core = Core(self._ground.database, self._clock)
        # Its first look at the held jobs, each of which has a full lease from then.
        self._ground.run(self.core.leases.expire())

    def wrong(self, *, is_settled: bool) -> list[str]:
        """Return what contradicts the invariants."""
        stored = snapshot.take(self._ground.url, None)
        return violations(Evidence(self.history.calls(), stored, MAX_ATTEMPTS, is_settled))
