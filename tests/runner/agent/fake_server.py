"""A server that keeps the runners' part of the contract, on a real socket, with faults that a test asks for."""

import asyncio
import base64
import hashlib
import itertools
import re
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from projectw_shared import routes
from projectw_shared.errors import (
    Gap,
    Invalid,
    LeaseLost,
    NotFound,
    ProjectWError,
    SessionLost,
    Unauthorized,
    to_problem,
)
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import (
    About,
    Assignment,
    Heartbeat,
    HeartbeatReply,
    HeldJob,
    Registered,
    Registration,
    Result,
    Unregister,
    encode,
)
from projectw_shared.strict import strict
from projectw_shared.transcripts import Segment

T = TypeVar("T")

TOKEN = "pwr_of-the-test"


@dataclass
class Fault:
    """What goes wrong with one request: its connection breaks, or another answer comes than its own."""

    drop: bool = False
    """Close the connection instead of answering."""
    act: bool = True
    """Do what was asked before that."""
    error: ProjectWError | None = None
    cut_after: int | None = None
    """Send so many bytes of a recording, then break the connection."""
    ignore_range: bool = False
    alter: bool = False
    """Send a recording with one byte changed."""


FAULT = web.RequestKey("fault", Fault)


@dataclass
class FakeJob:
    audio: bytes = b"sound"
    id: str = field(default_factory=new_id)
    file_name: str = "talk.wav"
    settings: JobSettings = field(default_factory=JobSettings)
    sha256: str = ""
    language: str | None = None
    duration: float | None = None
    lease: int = 0
    held_by: str | None = None
    cancel_requested: bool = False
    segments: list[Segment] = field(default_factory=list)
    resume_at: float = 0.0
    progress: list[float] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    known_leases: set[int] = field(default_factory=set)
    hand_backs: int = 0

    def __post_init__(self) -> None:
        self.sha256 = self.sha256 or hashlib.sha256(self.audio).hexdigest()

    def assignment(self) -> Assignment:
        return Assignment(
            id=self.id,
            lease=self.lease,
            file_name=self.file_name,
            bytes=len(self.audio),
            sha256=self.sha256,
            settings=self.settings,
            language=self.language,
            duration=self.duration,
            first=len(self.segments),
            resume_at=self.resume_at,
            segments=self.segments[-3:],
        )

    @property
    def texts(self) -> list[str]:
        return [segment.text for segment in self.segments]


class FakeServer:
    """State and doors. Tests look at the state and wait for it with ``until``."""

    def __init__(self, *, heartbeat_seconds: float = 5.0, lease_seconds: float = 60.0) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self.lease_seconds = lease_seconds
        self.token = TOKEN
        self.jobs: dict[str, FakeJob] = {}
        self.queue: deque[FakeJob] = deque()
        self.sessions: list[str] = []
        self.registrations: list[Registration] = []
        self.unregistered: list[str] = []
        self.draining = False
        self.seen: dict[str, int] = defaultdict(int)
        self.headers: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.url = ""
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._changed = asyncio.Condition()
        self._rounds = itertools.count(1)
        self._round = 0

    # --- what tests do ------------------------------------------------------------------------------------

    async def submit(self, job: FakeJob) -> FakeJob:
        self.jobs[job.id] = job
        self.queue.append(job)
        await self.change()
        return job

    def fault(self, kind: str, *faults: Fault) -> None:
        """Let the next requests of ``kind`` go wrong: register, idle, status, segments, audio, result, unregister."""
        self._faults[kind].extend(faults)

    def clear_faults(self) -> None:
        self._faults.clear()

    async def cancel(self, job: FakeJob) -> None:
        job.cancel_requested = True
        await self.change()

    async def take_away(self, job: FakeJob) -> None:
        """Let the lease run out."""
        job.held_by = None
        await self.change()

    async def drain(self) -> None:
        self.draining = True
        await self.change()

    async def change(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                async with self._changed:
                    try:
                        await asyncio.wait_for(self._changed.wait(), 0.05)
                    except TimeoutError:
                        continue

    # --- doors --------------------------------------------------------------------------------------------

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get(routes.ABOUT, self.about)
        app.router.add_post(routes.RUNNER_REGISTER, self._door(self.register))
        app.router.add_post(routes.RUNNER_HEARTBEAT, self._door(self.heartbeat))
        app.router.add_get(routes.RUNNER_AUDIO, self._door(self.audio))
        app.router.add_post(routes.RUNNER_RESULT, self._door(self.result))
        app.router.add_post(routes.RUNNER_UNREGISTER, self._door(self.unregister))
        return app

    def _door(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def door(request: web.Request) -> web.StreamResponse:
            try:
                if request.headers.get("Authorization") != f"Bearer {self.token}":
                    raise Unauthorized
                return await self._with_faults(request, handler)
            except ProjectWError as error:
                return _problem(error)
            finally:
                await self.change()

        return door

    async def _with_faults(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        kind = await self._kind(request)
        self.seen[kind] += 1
        self.headers[kind].append(dict(request.headers))
        waiting = self._faults[kind]
        fault = waiting.popleft() if waiting else Fault()
        request[FAULT] = fault
        if fault.error is not None and not (fault.drop or fault.act):
            raise fault.error
        if fault.drop and not fault.act:
            _break(request)
        response = await handler(request)
        if fault.drop:
            _break(request)
        if fault.error is not None:
            raise fault.error
        return response

    async def _kind(self, request: web.Request) -> str:
        kind = request.path.rpartition("/")[2]
        if kind != "heartbeat":
            return kind
        job = msgspec.json.decode(await request.read(), type=Heartbeat).job
        return "idle" if job is None else "status" if job.first is None else "segments"

    async def about(self, request: web.Request) -> web.StreamResponse:
        return _json(About("Fake", "1.2.3", "https://example.org", "closed", [], [], [], 1, None))

    async def register(self, request: web.Request) -> web.StreamResponse:
        self.registrations.append(await _body(request, Registration))
        for job in self.jobs.values():
            if job.held_by is not None:
                self._queue_again(job)
        self.sessions.append(new_id())
        return _json(Registered(new_id(), self.sessions[-1], self.heartbeat_seconds, self.lease_seconds))

    def _check_session(self, session: str) -> None:
        if not self.sessions or session != self.sessions[-1] or session in self.unregistered:
            raise SessionLost

    async def heartbeat(self, request: web.Request) -> web.StreamResponse:
        beat = await _body(request, Heartbeat)
        self._check_session(beat.session)
        if beat.wait > self.heartbeat_seconds:
            raise Invalid("wait is at most heartbeat_seconds")
        held = self._take(beat.job, beat.session) if beat.job else None
        brought = beat.job is not None and bool(beat.job.segments)
        mine = self._round
        if beat.wait and not brought:
            mine = self._round = next(self._rounds)
            await self.change()
        deadline = asyncio.get_running_loop().time() + (0 if brought else beat.wait)
        while True:
            self._check_session(beat.session)
            job = self._assign(beat.session) if beat.job is None else None
            abort = held is not None and held.cancel_requested
            left = deadline - asyncio.get_running_loop().time()
            if job or abort or self.draining or left <= 0 or mine != self._round:
                return _json(
                    HeartbeatReply(job.assignment() if job else None, abort, self.draining, datetime.now(UTC))
                )
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue

    def _take(self, news: HeldJob, session: str) -> FakeJob:
        job = self._job_under(news.id, news.lease, session)
        job.progress.append(news.progress)
        job.duration = news.duration or job.duration
        job.language = news.language or job.language
        if news.first is not None:
            if news.first > len(job.segments):
                raise Gap(next=len(job.segments))
            job.segments += (news.segments or [])[len(job.segments) - news.first :]
            job.resume_at = max(job.resume_at, news.resume_at or 0.0)
        return job

    def _job_under(self, job_id: str, lease: int, session: str | None = None) -> FakeJob:
        job = self.jobs.get(job_id)
        if job is None or job.lease != lease or job.held_by is None or session not in (None, job.held_by):
            raise LeaseLost
        return job

    def _assign(self, session: str) -> FakeJob | None:
        held = next((job for job in self.jobs.values() if job.held_by == session), None)
        if held is not None or self.draining or not self.queue:
            return held
        job = self.queue.popleft()
        job.lease += 1
        job.held_by = session
        return job

    def _queue_again(self, job: FakeJob) -> None:
        job.held_by = None
        self.queue.append(job)

    async def audio(self, request: web.Request) -> web.StreamResponse:
        job = self._job_under(request.match_info["id"], int(request.query["lease"]))
        fault: Fault = request[FAULT]
        etag = f'"{job.sha256}"'
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if wanted and not fault.ignore_range and request.headers.get("If-Range") in (None, etag):
            start = int(wanted[1])
        body = bytearray(job.audio[start:])
        if fault.alter:
            body[0] ^= 1
        digest = base64.b64encode(bytes.fromhex(job.sha256)).decode()
        response = web.StreamResponse(
            status=206 if start else 200, headers={"ETag": etag, "Repr-Digest": f"sha-256=:{digest}:"}
        )
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(job.audio) - 1}/{len(job.audio)}"
        response.content_length = len(body)
        await response.prepare(request)
        if fault.cut_after is not None:
            await response.write(bytes(body[: fault.cut_after]))
            _break(request)
        await response.write(bytes(body))
        await response.write_eof()
        return response

    async def result(self, request: web.Request) -> web.StreamResponse:
        result = await _body(request, Result)
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            raise NotFound
        if result.lease in job.known_leases:
            return _json({})
        self._job_under(job.id, result.lease)
        if result.next is not None and result.next != len(job.segments):
            raise Gap(next=len(job.segments))
        job.results.append(result)
        job.known_leases.add(result.lease)
        job.held_by = None
        return _json({})

    async def unregister(self, request: web.Request) -> web.StreamResponse:
        session = (await _body(request, Unregister)).session
        self._check_session(session)
        self.unregistered.append(session)
        for job in self.jobs.values():
            if job.held_by == session:
                job.hand_backs += 1
                self._queue_again(job)
        return _json({})


@asynccontextmanager
async def serving(server: FakeServer, *, port: int = 0) -> AsyncIterator[FakeServer]:
    """Let ``server`` listen on a free port of the loopback."""
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{bound}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=strict(kind))
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def _json(message: object) -> web.Response:
    return web.Response(body=encode(message), content_type="application/json")


def _problem(error: ProjectWError) -> web.Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    return web.Response(
        body=encode(to_problem(error)),
        status=error.status,
        content_type="application/problem+json",
        headers=headers,
    )


def _break(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError
