"""A stand-in for the server: the routes that the terminal calls, in memory, on a real loopback socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from projectw_shared.errors import (
    IllegalMove,
    NotFinished,
    NotFound,
    ProjectWError,
    Unauthorized,
    to_problem,
)
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import Job, JobError
from projectw_shared.transcripts import Segment, text_of

from .fake_accounts import EMAIL, PASSWORD, FakeAccounts, FakeUser, as_json
from .fake_admin import FakeAdmin

__all__ = ["EMAIL", "HOSTILE_NAMES", "PASSWORD", "FakeServer", "history", "make_job", "running"]

ANONYMOUS = (
    *("/api/about", "/api/auth/login", "/api/auth/refresh", "/api/auth/signup", "/api/auth/activate"),
    *("/api/auth/password-reset", "/api/auth/password-reset/confirm"),
)
FORMATS = ["txt", "srt", "vtt", "tsv", "json", "md"]


def make_job(**fields: Any) -> Job:
    """A job as the server tells of it; each field can be given."""
    values: dict[str, Any] = {
        "id": new_id(),
        "file_name": "interview.wav",
        "bytes": 1_000_000,
        "duration": None,
        "state": JobState.QUEUED,
        "cancel_requested": False,
        "progress": 0.0,
        "position": None,
        "eta": None,
        "settings": JobSettings(),
        "language": None,
        "runner": None,
        "attempts": 0,
        "error": None,
        "created_at": datetime.now(UTC),
        "started_at": None,
        "finished_at": None,
        "revision": 0,
    }
    return Job(**{**values, **fields})


class FakeServer:
    """Holds the jobs and tells of their changes; a test moves them by hand."""

    def __init__(self) -> None:
        self.url = ""
        self.jobs: dict[str, Job] = {}
        self.accounts = FakeAccounts()
        self.admin = FakeAdmin(self.accounts, self.jobs)
        self.segments: dict[str, list[Segment]] = {}
        self.received: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: list[ProjectWError] = []
        """Errors that the next requests to /api/jobs are answered with, one each."""
        self.breaking: dict[str, ProjectWError] = {}
        """Errors that every request to a path is answered with."""
        self.held: dict[str, asyncio.Event] = {}
        """What requests to a path wait for: a slow server."""
        self.revision = 0
        self.access: set[str] = set()
        self.refresh: set[str] = set()
        self.accounts.end_sessions = self.access.clear
        self.refreshes = 0
        self.expires_in = 900
        self.upload_gate = asyncio.Event()
        self.upload_gate.set()
        self.forgets_events = False
        self.breaks_uploads = 0
        """How many of the next uploads are cut in the middle."""
        self.keys: dict[str, str] = {}
        self._log: list[tuple[int, bytes]] = []
        self._streams: dict[asyncio.Queue[bytes | None], bool] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    # --- what a test does ---------------------------------------------------------------------------------

    def grant(self) -> str:
        """Return a token that counts."""
        token = f"access-{new_id()}"
        self.access.add(token)
        return token

    def add(self, **fields: Any) -> Job:
        job = make_job(**fields)
        return self.put(job)

    def put(self, job: Job, *, durable: bool = True) -> Job:
        """Keep ``job`` and tell of it."""
        if durable:
            self.revision += 1
            job = msgspec.structs.replace(job, revision=self.revision)
        self.jobs[job.id] = job
        self._tell("job", msgspec.json.encode(job), self.revision if durable else None)
        return job

    def change(self, job_id: str, *, durable: bool = True, **fields: Any) -> Job:
        return self.put(msgspec.structs.replace(self.jobs[job_id], **fields), durable=durable)

    def say(self, job_id: str, *texts: str) -> None:
        """Append segments of four seconds each to a transcript."""
        known = self.segments.setdefault(job_id, [])
        first = len(known)
        added = [
            Segment(id=first + n, start=4.0 * (first + n), end=4.0 * (first + n + 1), text=text)
            for n, text in enumerate(texts)
        ]
        known += added
        self.revision += 1
        event = {"job_id": job_id, "segments": added, "next": len(known)}
        self._tell("segments", msgspec.json.encode(event), self.revision)

    def remove(self, job_id: str) -> None:
        del self.jobs[job_id]
        self.revision += 1
        self._tell("deleted", json.dumps({"job_id": job_id}).encode(), self.revision)

    def cut(self) -> None:
        """Break every open stream of events."""
        for stream in self._streams:
            stream.put_nowait(None)

    @property
    def listeners(self) -> int:
        return len(self._streams)

    def calls(self, method: str, path: str) -> int:
        """How often a path was asked for so far."""
        return self.requests.count((method, path))

    async def stop(self) -> None:
        """Go away, as a server that is restarted does."""
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def start(self) -> None:
        """Come up, at the same address as before."""
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 30)
        app.add_routes(
            [
                web.get("/api/about", self._about),
                web.post("/api/auth/login", self._login),
                web.post("/api/auth/refresh", self._refresh),
                web.post("/api/auth/logout", self._logout),
                web.get("/api/jobs", self._list),
                web.post("/api/jobs", self._submit),
                web.get("/api/jobs/{id}", self._job),
                web.delete("/api/jobs/{id}", self._delete),
                web.post("/api/jobs/{id}/cancel", self._cancel),
                web.post("/api/jobs/{id}/retry", self._retry),
                web.get("/api/jobs/{id}/segments", self._segments),
                web.get("/api/jobs/{id}/transcript", self._transcript),
                web.get("/api/events", self._events),
                web.post("/api/estimate", self._estimate),
                *self.accounts.routes(),
                *self.admin.routes(),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    # --- what the routes do -------------------------------------------------------------------------------

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        try:
            if request.path in self.held:
                await self.held[request.path].wait()
            if request.path in self.breaking:
                raise self.breaking[request.path]
            if request.path not in ANONYMOUS:
                self._authorize(request)
                self.accounts.check(request)
            if request.path.startswith("/api/jobs") and self.failing:
                raise self.failing.pop(0)
            return await handler(request)
        except ProjectWError as error:
            return web.Response(
                status=error.status,
                body=msgspec.json.encode(to_problem(error)),
                headers={"Retry-After": str(error.retry_after)} if error.retry_after else {},
                content_type="application/problem+json",
            )

    def _authorize(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.access:
            raise Unauthorized("Your session has ended; sign in again.")

    def _tell(self, name: str, data: bytes, identity: int | None) -> None:
        line = b"" if identity is None else b"id: %d\n" % identity
        event = b"event: %s\n%sdata: %s\n\n" % (name.encode(), line, data)
        if identity is not None:
            self._log.append((identity, event))
        for stream in self._streams:
            stream.put_nowait(event)

    def _tokens(self, user: FakeUser) -> web.Response:
        access = self.grant()
        self.accounts.owners[access] = user
        refresh = f"refresh-{new_id()}"
        self.refresh.add(refresh)
        self.accounts.owners[refresh] = user
        return as_json(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "refresh_token": refresh,
            }
        )

    async def _about(self, _request: web.Request) -> web.Response:
        return as_json(
            {
                "name": "Project W",
                "version": "0.1.0",
                "source_code": "https://example.org",
                "signup": self.accounts.signup,
                "allowed_email_domains": self.accounts.domains,
                "models": ["tiny.en", "tiny", "base", "small", "medium", "large-v3", "turbo"],
                "formats": FORMATS,
                "max_upload_bytes": 10 << 30,
                "retention_days": None,
                "mail": self.accounts.mail,
            }
        )

    async def _login(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = self.accounts.log_in(body["email"], body["password"])
        return self._tokens(user)

    async def _refresh(self, request: web.Request) -> web.Response:
        token = (await request.json())["refresh_token"]
        if token not in self.refresh:
            self.access.clear()
            self.refresh.clear()
            raise Unauthorized("This session has ended; sign in again.")
        self.refresh.remove(token)
        self.refreshes += 1
        await asyncio.sleep(0)
        return self._tokens(self.accounts.owners.get(token, self.accounts.ada))

    async def _logout(self, request: web.Request) -> web.Response:
        self.access.discard(request.headers["Authorization"].removeprefix("Bearer "))
        self.refresh.clear()
        return web.Response(status=204)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        jobs = sorted(self.jobs.values(), key=lambda job: (job.created_at, job.id), reverse=True)
        if state := query.get("state"):
            jobs = [job for job in jobs if job.state == state]
        if q := query.get("q"):
            jobs = [job for job in jobs if q.lower() in job.file_name.lower()]
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
        page = jobs[start : start + limit]
        more = str(start + limit) if start + limit < len(jobs) else None
        return as_json({"jobs": page, "next_cursor": more})

    async def _submit(self, request: web.Request) -> web.Response:
        body = bytearray()
        async for chunk in request.content.iter_any():
            await self.upload_gate.wait()
            body += chunk
            if self.breaks_uploads:
                self.breaks_uploads -= 1
                assert request.transport is not None
                request.transport.close()
                raise ConnectionResetError
        key = request.headers["Idempotency-Key"]
        if key not in self.keys:
            settings = msgspec.json.decode(request.query["settings"], type=JobSettings)
            name = request.query["file_name"]
            job = self.add(file_name=name, settings=settings, bytes=len(body), position=1)
            self.keys[key] = job.id
            self.received[job.id] = bytes(body)
        return as_json(self.jobs[self.keys[key]], status=201)

    def _find(self, request: web.Request) -> Job:
        try:
            return self.jobs[request.match_info["id"]]
        except KeyError:
            raise NotFound("There is no such job.") from None

    async def _job(self, request: web.Request) -> web.Response:
        return as_json(self._find(request))

    async def _delete(self, request: web.Request) -> web.Response:
        self.remove(self._find(request).id)
        return web.Response(status=204)

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job.state in (JobState.SUCCEEDED, JobState.FAILED):
            raise IllegalMove(f"A job that has {job.state} cannot be cancelled.")
        if job.state.is_held:
            return as_json(self.change(job.id, cancel_requested=True))
        return as_json(self.change(job.id, state=JobState.CANCELLED, position=None))

    async def _retry(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise IllegalMove(f"A job that is {job.state} cannot be tried again.")
        return as_json(self.change(job.id, state=JobState.QUEUED, error=None, position=1, attempts=0))

    async def _estimate(self, _request: web.Request) -> web.Response:
        return as_json({"position": 3, "begins_in": 60.0, "eta": 185.0, "runners": 2, "waiting": None})

    async def _segments(self, request: web.Request) -> web.Response:
        job = self._find(request)
        known = self.segments.get(job.id, [])
        since = int(request.query.get("since", 0))
        return as_json({"segments": known[since:], "next": len(known), "complete": job.state.is_over})

    async def _transcript(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job.state is not JobState.SUCCEEDED:
            raise NotFinished(f"The job is {job.state}; its transcript can be had when it has succeeded.")
        segments = self.segments.get(job.id, [])
        if request.query["format"] == "txt":
            return web.Response(text="".join(f"{segment.text.strip()}\n" for segment in segments))
        return web.Response(text=f"[{request.query['format']}] {text_of(segments)}\n")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        hello = b'event: hello\ndata: {"revision": %d}\n\n' % self.revision
        stream.put_nowait(hello)
        if (last := request.headers.get("Last-Event-ID")) is not None:
            if self.forgets_events:
                stream.put_nowait(b"event: reset\ndata: {}\n\n")
            else:
                for identity, event in self._log:
                    if identity > int(last):
                        stream.put_nowait(event)
        self._streams[stream] = True
        try:
            while (event := await stream.get()) is not None:
                await response.write(event)
        finally:
            del self._streams[stream]
        return response


@asynccontextmanager
async def running() -> AsyncIterator[FakeServer]:
    """A fake server at a free port, until the block is left."""
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


HOSTILE_NAMES = (
    "[/nope]x.wav",
    "[@click=app.quit]x[/].wav",
    "[bold red]x.wav",
    "\x1b]52;c;aGk=\x07x.wav",
    "\x1b[2J\x1b[31mx.wav",
    "\x9b31mx.wav",
    "a\nb\rc\x08.wav",
    "\u202egnp.wav",
    "$(reboot) {x} %s.wav",
)


def history() -> list[dict[str, Any]]:
    """Jobs like those of a working day, newest first."""
    now = datetime.now(UTC)
    failed = JobError("runner-lost", "The runner was lost three times; its node may be out of memory.")
    return [
        {
            "file_name": "Seminar on speech perception.mp4",
            "duration": 5410.0,
            "position": 1,
            "settings": JobSettings(model="turbo"),
            "created_at": now - timedelta(minutes=2),
        },
        {
            "file_name": "interview-03-garden.wav",
            "state": JobState.RUNNING,
            "progress": 0.46,
            "eta": 134.0,
            "duration": 2715.0,
            "settings": JobSettings(model="large-v3"),
            "language": "en",
            "attempts": 1,
            "created_at": now - timedelta(minutes=11),
        },
        {
            "file_name": "interview-02-market.wav",
            "state": JobState.SUCCEEDED,
            "progress": 1.0,
            "duration": 1892.0,
            "settings": JobSettings(model="large-v3"),
            "language": "de",
            "attempts": 1,
            "created_at": now - timedelta(hours=3),
            "finished_at": now - timedelta(hours=2),
        },
        {
            "file_name": "field recording 7.flac",
            "state": JobState.FAILED,
            "progress": 0.2,
            "duration": 640.0,
            "error": failed,
            "attempts": 3,
            "created_at": now - timedelta(days=1),
        },
        {
            "file_name": "voicemail.ogg",
            "state": JobState.CANCELLED,
            "duration": 31.0,
            "created_at": now - timedelta(days=6),
        },
    ]
