"""A runner without an engine: it speaks the real protocol, and misbehaves as often as it is told to.

Light enough that hundreds fit into one process. Its transcript is the fake engine's, made from the recording's length.
"""

import asyncio
import hashlib
import random
from contextlib import suppress
from dataclasses import dataclass

from projectw_runner.client import RunnerClient
from projectw_shared import routes
from projectw_shared.errors import (
    Gap,
    Internal,
    LeaseLost,
    NotFound,
    ProjectWError,
    SessionLost,
    StorageFull,
    TooManyRequests,
    Unavailable,
    Unreachable,
)
from projectw_shared.http import Api, FixedToken
from projectw_shared.messages import Assignment, HeldJob, Registered, Registration, Result, ResultError
from projectw_shared.transcripts import Segment
from tests.chaos.recordings import expected, length_of

PAUSE_SECONDS = 0.1
"""Before anything is tried again."""

PASSING = (Internal, StorageFull, TooManyRequests, Unavailable, Unreachable)
"""Errors of the server's or the network's, after which the same may be tried again."""


@dataclass(frozen=True)
class Manners:
    """How a runner behaves. Shares are chances from 0 to 1: of a message, of a segment, or of a job."""

    seconds_a_segment: float = 0.02
    doubles: float = 0.0
    """A message is sent twice at once."""
    reorders: float = 0.0
    """A message of the past, also of a job long gone, is sent again after a newer one."""
    vanishes: float = 0.0
    """After a segment it is gone without a word, and comes back with a new registration."""
    sleeps: float = 0.0
    """After a segment it is silent for ``sleep_seconds`` and then goes on as if nothing had been."""
    sleep_seconds: float = 3.0
    errs: float = 0.0
    """A job ends with an error that another try may mend."""
    refuses: float = 0.0
    """A job ends with an error for good."""
    hands_back: float = 0.0
    """After a segment it unregisters, and comes back."""
    poison: str | None = None
    """The start of a file name: a job of that name kills it at once, always."""


GOOD = Manners()


class Vanished(Exception):
    """The runner is gone for now, and so is what it knew."""


class SimulatedRunner:
    """One runner with its token. ``run`` lasts until it is cancelled; ``seed`` decides when it misbehaves."""

    def __init__(self, url: str, name: str, token: str, seed: str = "", manners: Manners = GOOD) -> None:
        self.name = name
        self.manners = manners
        self.done = 0
        """Results that the server has taken."""
        self.is_waiting = False
        """It is idle and asks for a job just now."""
        self._api = Api(url, credentials=FixedToken(token), user_agent="simulated-runner/1")
        self._client = RunnerClient(self._api)
        self._random = random.Random(f"{seed} {name}")
        self._past: list[tuple[str, HeldJob | Result]] = []
        self._is_silent = False

    async def run(self) -> None:
        """Register and work, for ever."""
        async with self._api:
            while True:
                with suppress(Vanished, SessionLost, *PASSING):
                    await self._live()
                self.is_waiting = False
                await asyncio.sleep(PAUSE_SECONDS)

    async def _live(self) -> None:
        registered = await self._client.register(
            Registration(self.name, "0.0.1", "simulated", "none", ["tiny"])
        )
        while True:
            self.is_waiting = True
            reply = await self._client.heartbeat(registered.session, wait=registered.heartbeat_seconds)
            self.is_waiting = False
            if reply.job is None:
                continue
            if self.manners.poison and reply.job.file_name.startswith(self.manners.poison):
                raise Vanished
            beating = asyncio.create_task(self._beat(registered, reply.job))
            try:
                await self._work(registered, reply.job)
            except (LeaseLost, NotFound):
                continue
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)

    async def _beat(self, registered: Registered, job: Assignment) -> None:
        """Renew the lease while the work takes its time."""
        while True:
            with suppress(*PASSING):
                if not self._is_silent:
                    status = HeldJob(job.id, job.lease, 0.0)
                    await self._client.heartbeat(registered.session, wait=0, job=status)
            await asyncio.sleep(registered.heartbeat_seconds)

    async def _work(self, registered: Registered, job: Assignment) -> None:
        await self._fetch(job)
        length = length_of(job.bytes)
        number = job.first
        segments = expected(job.bytes, job.settings.temperature)
        while number < len(segments):
            await asyncio.sleep(self.manners.seconds_a_segment)
            await self._misbehave(registered)
            piece = segments[number : number + self._random.randint(1, 3)]
            if await self._append(registered, job, piece, length):
                await self._end(job, Result(job.lease, error=ResultError("cancelled", "Cancelled.")))
                return
            number += len(piece)
        await self._end(job, self._result(job, len(segments), length))

    async def _append(
        self, registered: Registered, job: Assignment, piece: list[Segment], length: float
    ) -> bool:
        """Send segments until they are taken; tell whether to abort."""
        held = HeldJob(
            job.id, job.lease, min(1.0, piece[-1].end / length), resume_at=piece[-1].end,
            duration=length, language="en", first=piece[0].id, segments=piece,
        )  # fmt: skip
        while True:
            with suppress(*PASSING):
                sending = [self._client.heartbeat(registered.session, wait=0, job=held)]
                if self._by_chance(self.manners.doubles):
                    sending.append(self._client.heartbeat(registered.session, wait=0, job=held))
                replies = await asyncio.gather(*sending, return_exceptions=True)
                await self._say_again()
                self._past.append((registered.session, held))
                first = replies[0]
                if isinstance(first, BaseException):
                    raise first
                return first.abort
            await asyncio.sleep(PAUSE_SECONDS)

    def _result(self, job: Assignment, count: int, length: float) -> Result:
        if self._by_chance(self.manners.errs):
            return Result(job.lease, error=ResultError("out-of-memory", "It was too much.", retryable=True))
        if self._by_chance(self.manners.refuses):
            return Result(job.lease, error=ResultError("unsupported-media", "It is no recording."))
        return Result(job.lease, next=count, language="en", duration=length)

    async def _end(self, job: Assignment, result: Result) -> None:
        while True:
            with suppress(*PASSING):
                sending = [self._client.send_result(job.id, result)]
                if self._by_chance(self.manners.doubles):
                    sending.append(self._client.send_result(job.id, result))
                self._past.append((job.id, result))
                for outcome in await asyncio.gather(*sending, return_exceptions=True):
                    if isinstance(outcome, Gap):
                        # A former life of this runner knew of more or fewer segments: begin again.
                        raise Vanished
                    if isinstance(outcome, BaseException):
                        raise outcome
                self.done += 1
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _fetch(self, job: Assignment) -> None:
        """Read the recording and compare its digest."""
        while True:
            digest = hashlib.sha256()
            with suppress(*PASSING):
                path = routes.RUNNER_AUDIO.format(id=job.id)
                async with self._api.open("GET", path, query={"lease": job.lease}, timeout=10) as response:
                    async for chunk in response.content.iter_any():
                        digest.update(chunk)
                if digest.hexdigest() != job.sha256:
                    raise AssertionError(f"the recording of job {job.id} came altered")
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _misbehave(self, registered: Registered) -> None:
        if self._by_chance(self.manners.vanishes):
            raise Vanished
        if self._by_chance(self.manners.sleeps):
            self._is_silent = True
            await asyncio.sleep(self.manners.sleep_seconds)
            self._is_silent = False
        if self._by_chance(self.manners.hands_back):
            await self._client.unregister(registered.session)
            raise Vanished

    async def _say_again(self) -> None:
        """Send something of the past once more, as it was; whatever is answered does not matter here."""
        if not self._past or not self._by_chance(self.manners.reorders):
            return
        with suppress(ProjectWError):
            match self._random.choice(self._past):
                case session, HeldJob() as held:
                    await self._client.heartbeat(session, wait=0, job=held)
                case job_id, Result() as result:
                    await self._client.send_result(job_id, result)

    def _by_chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
