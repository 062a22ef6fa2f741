"""A server with more to do than it can: refusals are early, clear and without effect, and runners go on."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from projectw_server.api import connections, gate
from projectw_server.api.admission import Urgency
from projectw_server.db import Database
from projectw_server.serving import OTHER_FILES, connections_possible
from projectw_server.settings import ServerSettings

from .conftest import PASSWORD
from .live import Live, serving, until
from .test_jobs_api import WAV
from .test_runners_api import Caller, held_back, segment

MANY = 10_000


@contextmanager
def flooded(live: Live, count: int = MANY) -> Iterator[None]:
    """As if ``count`` requests were being worked on, and as many waited."""
    admission = live.services.admission
    for _ in range(count):
        admission.enter(Urgency.ORDINARY)
        admission.line_up(Urgency.ORDINARY)
    try:
        yield
    finally:
        for _ in range(count):
            admission.leave_line(Urgency.ORDINARY)
            admission.leave(Urgency.ORDINARY)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


@pytest.fixture
async def admin(live: Live, http: aiohttp.ClientSession) -> Caller:
    await live.services.users.add("root@example.org", PASSWORD, is_admin=True)
    tokens = await live.services.sessions.login("root@example.org", PASSWORD)
    return Caller(http, live.url, tokens.access_token)


@pytest.fixture
async def runner(admin: Caller) -> Caller:
    created = await admin.call("POST", "/api/runners/create", {"name": "gpu-1"}, expect=201)
    runner = Caller(admin.http, admin.url, created["token"])
    await runner.register()
    return runner


async def submit(caller: Caller) -> tuple[int, Any]:
    headers = caller.headers | {"Content-Type": "audio/wav"}
    async with caller.http.post(
        f"{caller.url}/api/jobs?file_name=a.wav", data=WAV, headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_refusal_says_why_and_when_to_come_back(live: Live, admin: Caller) -> None:
    with flooded(live):
        async with admin.http.get(f"{admin.url}/api/jobs", headers=admin.headers) as answer:
            problem = await answer.json(content_type=None)
            assert answer.status == 503
            assert answer.content_type == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.headers["X-Request-ID"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (problem["code"], problem["status"]) == ("busy", 503)
    assert await admin.call("GET", "/api/jobs") == {"jobs": [], "next_cursor": None}


async def test_a_refused_submission_leaves_nothing(live: Live, admin: Caller) -> None:
    with flooded(live):
        assert (await submit(admin))[0] == 503
    assert (await admin.call("GET", "/api/jobs"))["jobs"] == []
    assert [page async for page in live.services.receiving._store.ids(written_before=2e9)] in ([], [[]])


async def test_an_upload_is_refused_before_its_body_is_asked_for(live: Live, admin: Caller) -> None:
    token = admin.headers["Authorization"]
    head = (
        f"POST /api/jobs?file_name=a.wav HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        "Content-Type: audio/wav\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    )
    with flooded(live):
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(head.encode())
        first = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
    assert first.startswith(b"HTTP/1.1 503")


async def test_a_working_runner_is_served_from_its_heartbeats_to_its_result(
    live: Live, admin: Caller, runner: Caller
) -> None:
    _, job = await submit(admin)
    held = (await runner.beat())["job"]
    told = {"id": job["id"], "lease": held["lease"], "progress": 0.5}
    with flooded(live):
        await runner.beat(job=told)
        await runner.beat(job=told | {"first": 0, "segments": [segment(n) for n in range(50)]})
        async with runner.http.get(
            f"{runner.url}/api/runners/jobs/{job['id']}/audio?lease={held['lease']}", headers=runner.headers
        ) as answer:
            assert answer.status == 200
        await runner.result(held, next=50)
    assert (await admin.call("GET", f"/api/jobs/{job['id']}"))["state"] == "succeeded"


async def test_a_heartbeat_that_was_looked_at_in_vain_still_arrives_whole(
    live: Live, runner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "LOOK_SECONDS", 0.05)
    admission = live.services.admission
    most = live.services.settings.max_requests_in_flight
    for _ in range(most):
        admission.enter(Urgency.WORKING)
    body = json.dumps({"session": runner.session, "wait": 0}).encode()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:10]
        await until(lambda: admission.waiting[Urgency.IDLE])
        for _ in range(most):
            admission.leave(Urgency.WORKING)
        yield body[10:]

    headers = runner.headers | {"Content-Type": "application/json"}
    async with runner.http.post(
        f"{runner.url}/api/runners/heartbeat", data=slowly(), headers=headers
    ) as answer:
        assert answer.status == 200


async def test_an_idle_runner_is_refused_and_the_probes_are_not(live: Live, runner: Caller) -> None:
    with flooded(live):
        assert (await runner.beat(expect=503))["code"] == "busy"
        for path in ("/healthz", "/readyz"):
            await runner.call("GET", path)


async def test_in_between_people_are_refused_and_runners_served(
    live: Live, admin: Caller, runner: Caller
) -> None:
    waiting = live.services.settings.max_requests_waiting
    with flooded(live, waiting // 2 + 1):
        await admin.call("GET", "/api/jobs", expect=503)
        await admin.call("GET", "/nothing-of-this-name", expect=503)
        await admin.call("GET", "/api/users/me", expect=503)
        admission = live.services.admission
        beating = asyncio.create_task(runner.beat())
        await until(lambda: admission.waiting[Urgency.IDLE])
    assert (await beating)["job"] is None


async def test_a_request_for_which_there_is_no_room_waits_for_its_turn(live: Live, admin: Caller) -> None:
    admission = live.services.admission
    most = live.services.settings.max_requests_in_flight
    for _ in range(most):
        admission.enter(Urgency.WORKING)
    listing = asyncio.create_task(admin.call("GET", "/api/jobs"))
    await until(lambda: admission.waiting[Urgency.HEAVY])
    for _ in range(most):
        admission.leave(Urgency.WORKING)
    assert await listing == {"jobs": [], "next_cursor": None}
    await until(lambda: admission.total == 0)


async def test_a_request_that_waits_in_vain_is_refused(
    live: Live, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 0.05)
    admission = live.services.admission
    for _ in range(live.services.settings.max_requests_in_flight):
        admission.enter(Urgency.WORKING)
    assert (await admin.call("GET", "/api/jobs", expect=503))["code"] == "busy"


async def test_held_heartbeats_streams_and_uploads_are_not_under_way(
    live: Live, admin: Caller, runner: Caller
) -> None:
    admission = live.services.admission
    beating = asyncio.create_task(runner.beat(wait=15))
    arrived, rest = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield WAV[:20]
        arrived.set()
        await rest.wait()
        yield WAV[20:]

    async def upload() -> int:
        headers = admin.headers | {"Content-Type": "audio/wav"}
        async with admin.http.post(f"{admin.url}/api/jobs", data=pieces(), headers=headers) as answer:
            return answer.status

    uploading = asyncio.create_task(upload())
    async with admin.http.get(f"{admin.url}/api/events", headers=admin.headers) as stream:
        await stream.content.readuntil(b"\n\n")
        await arrived.wait()
        await held_back(live.services)
        await until(lambda: admission.total == 0)
    rest.set()
    assert await uploading == 201
    assert (await beating)["job"]
    await until(lambda: admission.total == 0)


async def test_a_flood_of_refusals_is_counted_and_told_without_filling_the_log(
    live: Live, admin: Caller
) -> None:
    with capture_logs() as lines, flooded(live):
        for _ in range(20):
            await admin.call("GET", "/api/jobs", expect=503)
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0]["refused"] == {"heavy": 1}
    assert not [line for line in lines if line["log_level"] == "info" and line["event"] == "request"]
    async with admin.http.get(f"{admin.url}/metrics", headers=admin.headers) as answer:
        assert 'projectw_http_refused_total{urgency="heavy"} 20.0' in await answer.text()


# --- connections ------------------------------------------------------------------------------------------


@pytest.fixture
async def small(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    """A server that takes two connections."""
    async with serving(settings, database, most=2) as live:
        yield live


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).lower()


async def test_a_connection_too_many_is_answered_and_ended_and_its_place_is_free_again(small: Live) -> None:
    first = await asyncio.open_connection("127.0.0.1", small.port)
    second = await asyncio.open_connection("127.0.0.1", small.port)
    assert (await ask(*first)).startswith(b"http/1.1 200")
    assert (await ask(*second)).startswith(b"http/1.1 200")
    reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
    head = await ask(reader, writer)
    assert head.startswith(b"http/1.1 503")
    assert b"\r\nretry-after: " in head
    assert b'"code":"busy"' in await asyncio.wait_for(reader.read(), 20)
    writer.close()
    first[1].close()
    await first[1].wait_closed()

    async def again() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
        head = await ask(reader, writer)
        writer.close()
        return head.startswith(b"http/1.1 200")

    async with asyncio.timeout(20):
        while not await again():
            pass
    second[1].close()


async def test_one_too_many_that_says_nothing_ends_soon(small: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "EXCESS_SECONDS", 0.1)
    kept = [await asyncio.open_connection("127.0.0.1", small.port) for _ in range(2)]
    for each in kept:
        await ask(*each)
    reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    for _, each in [*kept, (reader, writer)]:
        each.close()


async def test_far_too_many_are_closed_at_once(small: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "EXCESS", 0)
    kept = [await asyncio.open_connection("127.0.0.1", small.port) for _ in range(2)]
    for each in kept:
        await ask(*each)
    reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
    with suppress(ConnectionError):  # the same as an end, seen from a faster client
        assert await asyncio.wait_for(reader.read(), 20) == b""
    for _, each in [*kept, (reader, writer)]:
        each.close()


def test_connections_are_bounded_by_the_files_that_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    assert connections_possible(100) == 100
    assert asked == []
    assert connections_possible(2000) == 2000
    assert asked == [(2000 + OTHER_FILES, 4096)]
    assert connections_possible(10_000) == 4096 - OTHER_FILES
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    assert connections_possible(10_000) == 10_000
