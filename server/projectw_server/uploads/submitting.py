"""Recordings and their jobs come and go together, whatever the client does meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from projectw_server.accounts.principals import Person
from projectw_server.jobs.quotas import Room
from projectw_server.jobs.service import Jobs, Recording
from projectw_server.uploads.receiving import Received, Receiving
from projectw_shared.errors import KeyInUse, Unavailable
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

T = TypeVar("T")


@dataclass(frozen=True)
class Submission:
    """A recording that has arrived, with the name and the settings that came with it."""

    received: Received
    file_name: str
    settings: JobSettings


class Submitting:
    """Turns uploads into jobs, and takes both away."""

    def __init__(self, receiving: Receiving, jobs: Jobs) -> None:
        self._receiving = receiving
        self._jobs = jobs
        self._under_way: set[tuple[str, str]] = set()
        self._arriving: Counter[str] = Counter()
        self._running: set[asyncio.Task[Any]] = set()

    @contextmanager
    def reserve(self, person: Person, key: str | None) -> Iterator[None]:
        """Hold an Idempotency-Key while its request is under way; raises KeyInUse for a second one."""
        if key is None:
            yield
            return
        held = (person.id, key)
        if held in self._under_way:
            raise KeyInUse("Another request with this Idempotency-Key is still being received")
        self._under_way.add(held)
        try:
            yield
        finally:
            self._under_way.discard(held)

    @contextmanager
    def arriving(
        self, person: Person, room: Room | None, *, beside: int = 0
    ) -> Iterator[Callable[[int], None]]:
        """Count what one request of ``person`` brings, together with all others that are under way.

        What is given is called with the size of each piece, and raises QuotaExceeded when it is more than ``room``:
        else what nobody may store could lie on the disk for as long as it takes to arrive. ``beside`` bytes of the
        request are no recording.
        """
        came = 0

        def take(size: int) -> None:
            nonlocal came
            came += size
            self._arriving[person.id] += size
            if room is not None:
                room.take(self._arriving[person.id] - beside)

        try:
            yield take
        finally:
            self._arriving[person.id] -= came
            if not self._arriving[person.id]:
                del self._arriving[person.id]

    async def submit(
        self, person: Person, key: str | None, receive: Callable[[], Awaitable[Submission]]
    ) -> Job:
        """Receive a recording and queue it as a job of ``person``; if it cannot be queued, nothing is left."""
        submission = await receive()
        return await self._to_the_end(self._keep(person, key, submission))

    async def delete(self, person: Person, job_id: str) -> None:
        """Delete a job of ``person`` with its transcript and its recording."""
        await self._to_the_end(self._delete(person, job_id))

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` also when the client goes away: either both the file and its row stay, or none."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _delete(self, person: Person, job_id: str) -> None:
        await self._jobs.delete(person, job_id)
        await self._receiving.discard(job_id)

    async def _keep(self, person: Person, key: str | None, submission: Submission) -> Job:
        received = submission.received
        recording = Recording(
            received.id, submission.file_name, received.media_type, received.bytes, received.sha256
        )
        may_be_kept = False
        try:
            self._jobs.check_settings(person, submission.settings)
            job = await self._jobs.submit(person, recording, submission.settings, key)
            may_be_kept = job.id == received.id
            return job
        except Unavailable:
            # Its commit may have reached the database: then the job stands. If not, the sweep of orphans finds out.
            may_be_kept = True
            raise
        finally:
            if not may_be_kept:
                await self._receiving.discard(received.id)
