"""Clients that vanish in the middle: whatever they were doing, the server goes on and nothing is left of them."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from quart import Quart

from projectw_server.api.doors import Door
from projectw_server.api.identity import Who
from projectw_server.app import DOORS
from projectw_server.db import Database
from projectw_server.db.sqlite import SqliteBackend
from projectw_server.jobs.service import Recording
from projectw_server.settings import ServerSettings
from projectw_shared import routes
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Heartbeat, Registration

from .conftest import PASSWORD
from .live import Live, serving, until
from .test_jobs_api import recording

REQUESTS = 100
BATCH = 10
LIMIT = 10.0
"""Seconds in which an answer must come. A hung server never answers; a slow machine should."""

RECORDING = recording(10)

ROUTES = sorted((door.method, door.path) for module in DOORS for door, _ in module.doors._declared)


@dataclass
class Actors:
    """Who calls, and what there is to be called about."""

    tokens: dict[Who, str]
    ids: dict[str, str]
    session: str
    refresh_token: str


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    async with serving(settings, database) as live:
        yield live


async def prepare(live: Live) -> Actors:
    """Make a user, an admin, a registered runner, a job that it holds and one that waits."""
    services, label = live.services, new_id()
    person = await services.users.add(f"{label}@example.org", PASSWORD)
    await services.users.add(f"root-{label}@example.org", PASSWORD, is_admin=True)
    user = await services.sessions.login(f"{label}@example.org", PASSWORD)
    admin = await services.sessions.login(f"root-{label}@example.org", PASSWORD)
    created = await services.runner_tokens.create("gpu")
    identity = await services.runner_tokens.identify(created.token)
    assert identity is not None
    registered = await services.fleet.register(identity, Registration("gpu", "1", "fake", "cpu", []))
    received = await services.receiving.receive(pieces(), declared=None, file_name="a.wav")
    recording = Recording(received.id, "a.wav", "audio/wav", received.bytes, received.sha256)
    job = await services.jobs.submit(person, recording, JobSettings())
    tokens = {
        Who.USER: user.access_token,
        Who.ADMIN: admin.access_token,
        Who.OPERATOR: admin.access_token,
        Who.RUNNER: created.token,
    }
    return Actors(tokens, {"job": job.id, "runner": created.id}, registered.session, user.refresh_token)


async def pieces() -> AsyncIterator[bytes]:
    yield RECORDING


def body_of(path: str, actors: Actors) -> bytes:
    told: dict[str, Any] = {
        routes.LOGIN: {"email": "nobody@example.org", "password": "wrong"},
        routes.REFRESH: {"refresh_token": actors.refresh_token},
        routes.RUNNER_CREATE: {"name": "another"},
        routes.RUNNER_REGISTER: {"name": "a", "version": "1", "engine": "e", "device": "d", "models": []},
        routes.RUNNER_HEARTBEAT: {"session": actors.session, "wait": 15},
        routes.RUNNER_UNREGISTER: {"session": actors.session},
        routes.RUNNER_RESULT: {"lease": 1, "next": 0},
    }
    return json.dumps(told[path]).encode() if path in told else b""


def request_for(door: Door, actors: Actors) -> bytes:
    about_runner = door.path.startswith("/api/runners/{id}")
    target = door.path.replace("{id}", actors.ids["runner" if about_runner else "job"])
    if door.path == routes.RUNNER_AUDIO:
        target += "?lease=1"
    body, kind = body_of(door.path, actors), "application/json"
    if (door.method, door.path) == ("POST", routes.JOBS):
        body, kind = RECORDING, "audio/wav"
    lines = [f"{door.method} {target} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}"]
    if door.who in actors.tokens:
        lines.append(f"Authorization: Bearer {actors.tokens[door.who]}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def abort(live: Live, request: bytes, chance: random.Random) -> None:
    """Send some or all of a request, linger for a moment, and vanish with a RST."""
    head = request.index(b"\r\n\r\n") + 4
    cut = chance.choice(
        [chance.randrange(head), chance.randrange(head, len(request) + 1), len(request), len(request)]
    )
    pause = chance.choice([0.0, chance.uniform(0, 0.005), chance.uniform(0, 0.05)])
    reads = chance.random() < 0.3
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        async with asyncio.timeout(LIMIT):
            await loop.sock_connect(sock, ("127.0.0.1", live.port))
            with suppress(ConnectionError):
                await loop.sock_sendall(sock, request[:cut])
            await asyncio.sleep(pause)
            if reads:
                with suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(0.02):
                        await loop.sock_recv(sock, 100)
    finally:
        sock.close()


async def answers(live: Live, path: str, token: str) -> int:
    """Return the status of a request on a connection of its own."""
    async with asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return int(answer.split()[1])


def _is_busy(database: Database) -> bool:
    if isinstance(database._backend, SqliteBackend):
        return database._backend._client._lock.locked()
    pool = database._backend._client._pool  # type: ignore[attr-defined]  # the other kind
    return bool(pool.get_idle_size() < pool.get_size())


async def assert_nothing_is_left(live: Live, database: Database) -> None:
    services = live.services
    incoming = services.settings.home / "recordings" / "incoming"
    blobs = services.settings.home / "recordings" / "blobs"

    def is_quiet() -> bool:
        return not (
            _is_busy(database)
            or database._running
            or len(services.dispatcher.waiters)
            or services.bus._subscriptions
            or services.submitting._under_way
            or services.submitting._running
            or list(incoming.iterdir())
        )

    await until(is_quiet, LIMIT)
    stored = {path.name for path in blobs.rglob("*") if path.is_file()}
    assert stored == await services.jobs.known(list(stored)), "a recording without a job"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_requests_aborted_at_random_moments_leave_nothing_behind(
    live: Live, database: Database, method: str, path: str
) -> None:
    chance = random.Random(f"{method} {path}")
    watcher = (await prepare(live)).tokens[Who.USER]
    door = _door(live.app, method, path)
    for _ in range(REQUESTS // BATCH):
        actors = _strangers(watcher) if door.who is Who.ANYONE else await prepare(live)
        request = request_for(door, actors)
        await asyncio.gather(*(abort(live, request, chance) for _ in range(BATCH)))
        assert await answers(live, "/readyz", "") == 200
        assert await answers(live, "/api/jobs", watcher) == 200
    await assert_nothing_is_left(live, database)


def _strangers(refresh_token: str) -> Actors:
    return Actors({}, {"job": new_id(), "runner": new_id()}, new_id(), refresh_token)


def _door(app: Quart, method: str, path: str) -> Door:
    doors = [view.door for view in app.view_functions.values() if hasattr(view, "door")]
    return next(door for door in doors if (door.method, door.path) == (method, path))


async def test_jobs_are_never_lost_to_idle_runners_that_vanish(live: Live, database: Database) -> None:
    """Heartbeats aborted while jobs arrive: what was not read is queued again or told again."""
    chance = random.Random(7)
    actors = await prepare(live)
    heartbeat = _door(live.app, "POST", routes.RUNNER_HEARTBEAT)
    request = request_for(heartbeat, actors)
    for _ in range(REQUESTS):
        await abort(live, request, chance)
    await assert_nothing_is_left(live, database)
    identity = await live.services.runner_tokens.identify(actors.tokens[Who.RUNNER])
    assert identity is not None
    reply = await live.services.dispatcher.heartbeat(identity, Heartbeat(actors.session, 0))
    assert reply.job is not None
    assert reply.job.id == actors.ids["job"]
    row = await database.row("SELECT attempts FROM jobs WHERE id = $1", reply.job.id)
    assert row == {"attempts": 1}
