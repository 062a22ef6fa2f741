"""Requests that are broken off at random moments, on every route: the server is well again at once."""

import asyncio
import random
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from benchmarks.fleets.members import Runner, Submitter
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.population import Member, Population, opened, populate, server_settings
from benchmarks.fleets.servers import running
from benchmarks.fleets.tally import Rows
from benchmarks.fleets.wire import HEAD_END, Broken, Connection, request_of
from benchmarks.load import small_recording
from projectw_server.api.doors import Door
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.messages import CreatedRunner, NewRunner

BATCH = 10
HEALTHY_SECONDS = 1.0
LEFT_SECONDS = 15.0
"""How long what was broken off may take to be cleaned away."""


@dataclass
class Health:
    """The answers to the questions after each batch: how long they took, and where they failed."""

    times: list[float] = field(default_factory=list)
    ill: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Actors:
    """Who calls in one batch, and about what."""

    person: Member
    admin: Member
    runner: Runner
    runner_id: str
    job_id: str
    held: tuple[str, int]
    """A job and the lease under which the runner holds it."""


async def measure(rows: Rows, place: Place, plan: Plan) -> None:
    """Add the part's rows to the report."""
    settings = server_settings(place.folder / "data", place.database_url)
    batches = max(1, plan.aborts // BATCH)
    async with opened(settings) as (services, _, doors):
        # A person of their own for each batch, because signing out is one of the routes.
        population = await populate(services, people=len(doors) * batches, runners=0)
    with running(place.folder, settings, count=place.servers, pin=place.pin) as servers:
        port = servers.ports[0]
        health, people = Health(), iter(population.people)
        for door in doors:
            chance = random.Random(f"{door.method} {door.path}")
            for _ in range(batches):
                actors = await _prepare(port, next(people), population)
                request = _request(door, actors)
                await asyncio.gather(*(_abort(port, request, chance) for _ in range(BATCH)))
                await _ask(port, population.admin, health, door)
                actors.runner.connection.close()
        left = await _left(place)
        peak = servers.peak_bytes() / 1e6
    rows.value("routes", len(doors))
    rows.value("requests broken off", len(doors) * batches * BATCH)
    rows.times(f"after each {BATCH}: until /readyz and a list of jobs were answered", health.times)
    rows.value(f"not well within {HEALTHY_SECONDS:g} s", len(health.ill), most=0)
    rows.value("files of broken uploads left", left, most=0)
    rows.value("server: peak resident memory, MB", peak)
    rows.report.notes += [f"aborts: {sentence}" for sentence in health.ill[:5]]


async def _prepare(port: int, person: Member, population: Population) -> Actors:
    """Return a person with a job, and a registered runner that holds one."""
    admin = Connection(port)
    request = request_of(
        "POST", routes.RUNNER_CREATE, token=population.admin.token, body=msgspec.json.encode(NewRunner("gpu"))
    )
    created = msgspec.json.decode(await admin.expect(request), type=CreatedRunner)
    admin.close()
    submitter = Submitter(port, person.token)
    job_id = await submitter.submit()
    submitter.connection.close()
    runner = Runner(port, created.token)
    await runner.register()
    job = await runner.next_job(0.0)
    held = (job_id, 1) if job is None else (job.id, job.lease)
    return Actors(person, population.admin, runner, created.id, job_id, held)


def _request(door: Door, actors: Actors) -> bytes:
    held, lease = actors.held
    is_runners = door.path.startswith("/api/runners/jobs/")
    about = (
        actors.runner_id
        if door.path.startswith("/api/runners/{id}")
        else held
        if is_runners
        else actors.job_id
    )
    target = door.path.replace("{id}", about)
    if door.path == routes.RUNNER_AUDIO:
        target += f"?lease={lease}"
    tokens = {
        Who.USER: actors.person.token,
        Who.ADMIN: actors.admin.token,
        Who.OPERATOR: actors.admin.token,
        Who.RUNNER: actors.runner.token,
    }
    token = tokens.get(door.who, "")
    if (door.method, door.path) == ("POST", routes.JOBS):
        body = small_recording()
        return request_of(door.method, target, token=token, body=body, content_type="audio/wav")
    told = _told(actors.runner.session, lease).get(door.path, {})
    return request_of(
        door.method, target, token=token, body=b"" if door.takes is None else msgspec.json.encode(told)
    )


def _told(session: str, lease: int) -> dict[str, Any]:
    """Return what is sent to the routes that take something; those that are not named get an empty object."""
    return {
        routes.LOGIN: {"email": "nobody@example.org", "password": "wrong"},
        routes.REFRESH: {"refresh_token": "none"},
        routes.RUNNER_CREATE: {"name": "another"},
        routes.RUNNER_REGISTER: {"name": "a", "version": "1", "engine": "e", "device": "d", "models": []},
        routes.RUNNER_HEARTBEAT: {"session": session, "wait": 15},
        routes.RUNNER_UNREGISTER: {"session": session},
        routes.RUNNER_RESULT: {"lease": lease, "next": 0},
    }


async def _abort(port: int, request: bytes, chance: random.Random) -> None:
    """Send some or all of a request, linger for a moment, read a little or nothing, and vanish with a reset."""
    head = request.index(HEAD_END) + len(HEAD_END)
    cut = chance.choice(
        [chance.randrange(head), chance.randint(head, len(request)), len(request), len(request)]
    )
    pause = chance.choice([0.0, chance.uniform(0, 0.005), chance.uniform(0, 0.05)])
    reads = chance.random() < 0.3
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(sock, ("127.0.0.1", port))
        with suppress(ConnectionError):
            await loop.sock_sendall(sock, request[:cut])
        await asyncio.sleep(pause)
        if reads:
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.02):
                    await loop.sock_recv(sock, 100)


async def _ask(port: int, admin: Member, health: Health, door: Door) -> None:
    began = time.perf_counter()
    connection = Connection(port)
    try:
        async with asyncio.timeout(HEALTHY_SECONDS):
            for path, token in ((routes.READY, ""), (routes.JOBS, admin.token)):
                answer = await connection.send(request_of("GET", path, token=token))
                if answer.status != 200:
                    health.ill.append(f"after {door.method} {door.path}: {path} answered {answer.status}")
    except (TimeoutError, Broken) as error:
        health.ill.append(f"after {door.method} {door.path}: {error!r}")
    finally:
        connection.close()
    health.times.append(time.perf_counter() - began)


async def _left(place: Place) -> int:
    incoming = place.folder / "data" / "recordings" / "incoming"
    deadline = time.perf_counter() + LEFT_SECONDS
    while (left := len(list(incoming.iterdir()))) and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)
    return left
