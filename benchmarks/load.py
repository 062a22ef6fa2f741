"""Simulated people and runners for the benchmarks: as little work as possible on this side of the socket."""

import asyncio
import io
import os
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec

from projectw_shared import routes
from projectw_shared.accounts import Login, Tokens
from projectw_shared.messages import (
    Assignment,
    CreatedRunner,
    Heartbeat,
    HeartbeatReply,
    Job,
    NewRunner,
    Registered,
    Registration,
    Result,
)

EMAIL = "load@example.org"
PASSWORD = "a password for the load alone"
SERVER_CORE, LOAD_CORE = 0, 1


def small_recording() -> bytes:
    """Return a WAV file of a tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return file.getvalue()


@contextmanager
def separate_core() -> Iterator[int | None]:
    """Keep this process on one core meanwhile, and yield the one for the server; None where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield None
        return
    os.sched_setaffinity(0, {cores[LOAD_CORE]})
    try:
        yield cores[SERVER_CORE]
    finally:
        os.sched_setaffinity(0, cores)


class Link:
    """One caller's way to the server, over connections that all callers share."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self.http = http
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(self, path: str, body: msgspec.Struct) -> bytes:
        """Send JSON and return the answer; RuntimeError for any other status than 200 and 201."""
        return await self.send(path, msgspec.json.encode(body), "application/json")

    async def send(self, path: str, body: bytes, content_type: str) -> bytes:
        """Send ``body`` and return the answer."""
        headers = {**self.headers, "Content-Type": content_type}
        async with self.http.post(self.url + path, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status not in (200, 201):
                raise RuntimeError(f"{path} answered {answer.status}: {content[:500]!r}")
            return content


class SimulatedPerson(Link):
    """Somebody who submits small recordings."""

    recording = small_recording()

    @classmethod
    async def sign_in(cls, http: aiohttp.ClientSession, url: str) -> "SimulatedPerson":
        """Return the person that the installation knows."""
        tokens = await Link(http, url).post(routes.LOGIN, Login(EMAIL, PASSWORD))
        return cls(http, url, msgspec.json.decode(tokens, type=Tokens).access_token)

    async def submit(self) -> str:
        """Submit a recording and return the job's id."""
        answer = await self.send(routes.JOBS + "?file_name=x.wav", self.recording, "application/octet-stream")
        return msgspec.json.decode(answer, type=Job).id

    async def make_runner(self, name: str) -> "SimulatedRunner":
        """Return a new runner, registered."""
        created = msgspec.json.decode(
            await self.post(routes.RUNNER_CREATE, NewRunner(name)), type=CreatedRunner
        )
        runner = SimulatedRunner(self.http, self.url, created.token)
        await runner.register(name)
        return runner


class SimulatedRunner(Link):
    """A runner that finishes each job at once, with an empty transcript."""

    session = ""

    async def register(self, name: str) -> None:
        """Begin a session."""
        answer = await self.post(
            routes.RUNNER_REGISTER, Registration(name, "1", "simulated", "none", ["tiny.en"])
        )
        self.session = msgspec.json.decode(answer, type=Registered).session

    async def next_job(self, wait: float) -> Assignment | None:
        """Send one heartbeat that the server may hold for ``wait`` seconds."""
        answer = await self.post(routes.RUNNER_HEARTBEAT, Heartbeat(self.session, wait))
        return msgspec.json.decode(answer, type=HeartbeatReply).job

    async def finish(self, job: Assignment) -> None:
        """Deliver an empty transcript."""
        await self.post(
            routes.RUNNER_RESULT.format(id=job.id), Result(job.lease, next=0, language="en", duration=0.1)
        )


@dataclass
class Fleet:
    """Runners that take job after job until they are stopped; ``assigned_at`` tells when, by job."""

    runners: list[SimulatedRunner]
    wait: float
    """Seconds that a heartbeat may be held; 0 asks every ``pause`` seconds instead."""
    pause: float = 0.0
    assigned_at: dict[str, float] = field(default_factory=dict)
    finished: int = 0
    repeated: int = 0
    """Jobs that were assigned more than once."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for runner in self.runners:
                group.create_task(self._work(runner))

    async def _work(self, runner: SimulatedRunner) -> None:
        while True:
            job = await runner.next_job(self.wait)
            if job is None:
                await asyncio.sleep(self.pause)
                continue
            self.repeated += job.id in self.assigned_at
            self.assigned_at[job.id] = time.perf_counter()
            self.news.set()
            await runner.finish(job)
            self.finished += 1
            self.news.set()

    async def until_finished(self, count: int) -> None:
        """Return when ``count`` jobs are done."""
        while self.finished < count:
            self.news.clear()
            await self.news.wait()
