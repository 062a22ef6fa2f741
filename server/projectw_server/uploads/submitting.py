"""Submitting: a recording that has arrived and a job that is acknowledged are one thing, or neither."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from projectw_server.accounts.principals import Person
from projectw_server.jobs.service import Jobs, Recording
from projectw_server.uploads.receiving import Received, Receiving
from projectw_shared.errors import KeyInUse
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job


@dataclass(frozen=True)
class Submission:
    """A recording that has arrived, with the name and the settings that came with it."""

    received: Received
    file_name: str
    settings: JobSettings


class Submitting:
    """Turns uploads into jobs."""

    def __init__(self, receiving: Receiving, jobs: Jobs) -> None:
        self._receiving = receiving
        self._jobs = jobs
        self._under_way: set[tuple[str, str]] = set()
        self._keeping: set[asyncio.Task[Job]] = set()

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

    async def submit(
        self, person: Person, key: str | None, receive: Callable[[], Awaitable[Submission]]
    ) -> Job:
        """Receive a recording and queue it as a job of ``person``; if it cannot be queued, nothing is left."""
        submission = await receive()
        # From here on a client that goes away changes nothing: either both the file and its row stay, or none.
        task = asyncio.create_task(self._keep(person, key, submission))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return await asyncio.shield(task)

    async def _keep(self, person: Person, key: str | None, submission: Submission) -> Job:
        received = submission.received
        recording = Recording(
            received.id, submission.file_name, received.media_type, received.bytes, received.sha256
        )
        kept = False
        try:
            self._jobs.check_settings(person, submission.settings)
            job = await self._jobs.submit(person, recording, submission.settings, key)
            kept = job.id == received.id
            return job
        finally:
            if not kept:
                await self._receiving.discard(received.id)
