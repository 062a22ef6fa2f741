"""The routes of runners over a real socket: held answers, clients that leave, and every refusal."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from projectw_server.accounts.principals import Person
from projectw_server.api.bodies import MOST
from projectw_server.api.context import Services
from projectw_server.jobs.service import Recording
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

from .conftest import PASSWORD
from .live import Live, until

REGISTRATION = {"name": "desk", "version": "1.2", "engine": "fake", "device": "cpu", "models": ["tiny"]}
ASSIGNMENT_FIELDS = {
    "id", "lease", "file_name", "bytes", "sha256", "settings", "language", "duration", "first", "resume_at", "segments",
}  # fmt: skip
AUDIO = b"RIFF" + b"\0" * 5000


def segment(number: int) -> dict[str, Any]:
    return {"id": number, "start": float(number), "end": number + 1.0, "text": f" word{number}"}


class Caller:
    """Calls the server with one token."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self.http = http
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self.session = ""

    async def call(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        async with self.http.request(method, self.url + path, json=body, headers=self.headers) as response:
            text = await response.text()
            assert response.status == expect, text
            if expect >= 400:
                assert response.content_type == "application/problem+json"
            return await response.json(content_type=None) if text else None

    async def register(self) -> Any:
        registered = await self.call("POST", "/api/runners/register", REGISTRATION)
        self.session = registered["session"]
        return registered

    async def beat(self, wait: float = 0, job: dict[str, Any] | None = None, *, expect: int = 200) -> Any:
        body = {"session": self.session, "wait": wait} | ({} if job is None else {"job": job})
        return await self.call("POST", "/api/runners/heartbeat", body, expect=expect)

    async def result(self, held: dict[str, Any], expect: int = 200, **ending: Any) -> Any:
        path = f"/api/runners/jobs/{held['id']}/result"
        return await self.call("POST", path, {"lease": held["lease"]} | ending, expect=expect)


@pytest.fixture
def services(live: Live) -> Services:
    return live.services


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


@pytest.fixture
async def person(services: Services) -> Person:
    return await services.users.add("ada@example.org", PASSWORD)


@pytest.fixture
async def admin(services: Services, http: aiohttp.ClientSession, live: Live) -> Caller:
    await services.users.add("root@example.org", PASSWORD, is_admin=True)
    tokens = await services.sessions.login("root@example.org", PASSWORD)
    return Caller(http, live.url, tokens.access_token)


@pytest.fixture
async def runner(admin: Caller) -> Caller:
    created = await admin.call("POST", "/api/runners/create", {"name": "gpu-1"}, expect=201)
    assert set(created) == {"id", "name", "token"}
    assert created["token"].startswith("pwr_")
    caller = Caller(admin.http, admin.url, created["token"])
    registered = await caller.register()
    assert (registered["runner_id"], registered["heartbeat_seconds"], registered["lease_seconds"]) == (
        created["id"], 15, 60,
    )  # fmt: skip
    return caller


async def submit(services: Services, person: Person) -> Job:
    job_id = new_id()
    async with services.receiving._store.writing(job_id) as writer:
        await writer.write(AUDIO)
        digest = await writer.commit()
    recording = Recording(job_id, "talk.wav", "audio/wav", len(AUDIO), digest)
    return await services.jobs.submit(person, recording, JobSettings())


async def runners(admin: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin.call("GET", "/api/runners"))["runners"]
    return found


async def held_back(services: Services) -> None:
    """Wait until the server holds a heartbeat that wants a job."""
    await until(lambda: services.dispatcher.waiters.idle_offers())


async def test_a_job_from_the_first_heartbeat_to_the_result(
    services: Services, person: Person, runner: Caller, admin: Caller
) -> None:
    waiting = asyncio.ensure_future(runner.beat(wait=15))
    await held_back(services)
    job = await submit(services, person)
    reply = await waiting
    assert set(reply) == {"job", "abort", "drain", "server_time"}
    held = reply["job"]
    assert set(held) == ASSIGNMENT_FIELDS
    assert (held["id"], held["lease"], held["sha256"]) == (job.id, 1, hashlib.sha256(AUDIO).hexdigest())
    assert (await runners(admin))[0]["job"] == job.id
    told = {
        "id": job.id,
        "lease": 1,
        "progress": 0.5,
        "resume_at": 2,
        "duration": 4,
        "language": "en",
        "first": 0,
    }
    reply = await runner.beat(wait=15, job=told | {"segments": [segment(0), segment(1)]})
    assert (reply["job"], reply["abort"], reply["drain"]) == (None, False, False)
    gap = await runner.result(held, 409, next=3)
    assert (gap["code"], gap["next"]) == ("gap", 2)
    for _ in range(2):
        assert await runner.result(held, next=2, language="en", duration=4.0) == {}
    assert (await services.jobs.get(person, job.id)).state == "succeeded"
    assert (await runner.beat(job=told, expect=409))["code"] == "lease-lost"
    assert (await runners(admin))[0]["job"] is None


async def test_the_recording_is_for_the_holder_of_the_lease(
    services: Services, person: Person, runner: Caller, admin: Caller
) -> None:
    job = await submit(services, person)
    held = (await runner.beat())["job"]
    path = f"{runner.url}/api/runners/jobs/{job.id}/audio"
    async with runner.http.get(path, params={"lease": held["lease"]}, headers=runner.headers) as response:
        assert await response.read() == AUDIO
        digest = base64.b64encode(hashlib.sha256(AUDIO).digest()).decode()
        assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"
        assert response.headers["ETag"]
    ranged = runner.headers | {"Range": "bytes=4-9"}
    async with runner.http.get(path, params={"lease": held["lease"]}, headers=ranged) as response:
        assert (response.status, await response.read()) == (206, AUDIO[4:10])
    for lease in ("2", "0", str(2**63 - 1)):
        refused = await runner.call("GET", f"/api/runners/jobs/{job.id}/audio?lease={lease}", expect=409)
        assert refused["code"] == "lease-lost"
    for query in ("", "?lease=x", "?lease=-1", f"?lease={2**64}"):
        await runner.call("GET", f"/api/runners/jobs/{job.id}/audio{query}", expect=422)
    await runner.call("GET", "/api/runners/jobs/nothing/audio?lease=1", expect=409)


async def test_a_heartbeat_whose_client_went_away_gets_nothing(
    services: Services, person: Person, runner: Caller
) -> None:
    """The job stays where it is: queued, without an attempt."""
    waiting = asyncio.ensure_future(runner.beat(wait=15))
    await held_back(services)
    waiting.cancel()
    await until(lambda: not len(services.dispatcher.waiters))
    job = await submit(services, person)
    await asyncio.sleep(0)
    seen = await services.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 0)
    assert (await runner.beat())["job"]["id"] == job.id


async def test_an_abort_reaches_a_working_runner(services: Services, person: Person, runner: Caller) -> None:
    job = await submit(services, person)
    held = (await runner.beat())["job"]
    told = {"id": job.id, "lease": held["lease"], "progress": 0.1}
    waiting = asyncio.ensure_future(runner.beat(wait=15, job=told))
    await until(lambda: len(services.dispatcher.waiters))
    await services.jobs.cancel(person, job.id)
    assert (await waiting)["abort"] is True
    await runner.result(held, error={"code": "cancelled", "message": "as asked"})
    assert (await services.jobs.get(person, job.id)).state == "cancelled"


async def test_a_takeover_is_told_to_the_former_session(
    services: Services, person: Person, runner: Caller
) -> None:
    await submit(services, person)
    held = (await runner.beat())["job"]
    former = Caller(runner.http, runner.url, "")
    former.headers, former.session = runner.headers, runner.session
    await runner.register()
    assert (await former.beat(expect=409))["code"] == "session-lost"
    assert (await former.result(held, 409, next=0))["code"] == "lease-lost"
    assert (await runner.beat())["job"]["lease"] == held["lease"] + 1


async def test_good_bye_hands_the_job_back(services: Services, person: Person, runner: Caller) -> None:
    job = await submit(services, person)
    await runner.beat()
    waiting = asyncio.ensure_future(runner.beat(wait=15, job={"id": job.id, "lease": 1, "progress": 0.1}))
    await until(lambda: len(services.dispatcher.waiters))
    assert await runner.call("POST", "/api/runners/unregister", {"session": runner.session}) == {}
    assert (await waiting)["job"] is None
    seen = await services.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 0)
    assert (await runner.beat(expect=409))["code"] == "session-lost"


async def test_what_an_admin_does_with_runners(services: Services, runner: Caller, admin: Caller) -> None:
    (seen,) = await runners(admin)
    assert {
        "id",
        "name",
        "online",
        "cordoned",
        "draining",
        "version",
        "engine",
        "device",
        "models",
        "job",
    } <= set(seen)
    assert (seen["name"], seen["online"], seen["version"], seen["models"]) == ("gpu-1", True, "1.2", ["tiny"])
    path = f"/api/runners/{seen['id']}"
    assert (await admin.call("POST", f"{path}/cordon"))["cordoned"] is True
    assert (await admin.call("POST", f"{path}/uncordon"))["cordoned"] is False
    waiting = asyncio.ensure_future(runner.beat(wait=15))
    await held_back(services)
    assert (await admin.call("POST", f"{path}/drain"))["draining"] is True
    assert (await waiting)["drain"] is True
    assert await admin.call("DELETE", path, expect=204) is None
    await runner.beat(expect=401)
    assert (await admin.call("DELETE", path, expect=404))["code"] == "not-found"
    assert await runners(admin) == []


async def test_runners_are_for_admins_and_heartbeats_for_runners(
    services: Services, person: Person, runner: Caller, admin: Caller
) -> None:
    tokens = await services.sessions.login(person.email, PASSWORD)
    user = Caller(runner.http, runner.url, tokens.access_token)
    for method, path in (
        ("GET", "/api/runners"), ("POST", "/api/runners/create"), ("DELETE", "/api/runners/x"),
        ("POST", "/api/runners/x/cordon"), ("POST", "/api/runners/x/uncordon"), ("POST", "/api/runners/x/drain"),
    ):  # fmt: skip
        for caller in (user, runner):
            await caller.call(method, path, {"name": "x"}, expect=403)
    for path in ("register", "heartbeat", "unregister", "jobs/x/result"):
        for caller in (user, admin):
            await caller.call("POST", f"/api/runners/{path}", {}, expect=403)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"id": "x", "lease": 1, "progress": 1.5}, "progress"),
        ({"id": "x", "lease": -1, "progress": 0}, "lease"),
        ({"id": "x", "lease": 2**64, "progress": 0}, "lease"),
        ({"id": "x", "lease": 1, "progress": 0, "segments": [segment(0)]}, "first"),
        ({"id": "x", "lease": 1, "progress": 0, "first": 1, "segments": [segment(0)]}, "one by one"),
        (
            {"id": "x", "lease": 1, "progress": 0, "first": 0, "segments": [segment(0) | {"end": -1}]},
            "segment",
        ),
        (
            {"id": "x", "lease": 1, "progress": 0, "first": 0, "segments": [segment(0) | {"colour": 1}]},
            "colour",
        ),
        ({"id": "x", "lease": 1, "progress": 0, "colour": 1}, "colour"),
        ({"id": "x", "lease": 1, "progress": 0, "resume_at": -1}, "resume_at"),
    ],
)
async def test_a_heartbeat_that_makes_no_sense_is_refused(
    runner: Caller, job: dict[str, Any], words: str
) -> None:
    refused = await runner.beat(job=job, expect=422)
    assert refused["code"] == "invalid"
    assert words in refused["detail"]


async def test_a_result_is_an_end_and_only_one(services: Services, person: Person, runner: Caller) -> None:
    await submit(services, person)
    held = (await runner.beat())["job"]
    error = {"code": "broken", "message": "It broke", "retryable": False}
    for ending in ({}, {"next": 0, "error": error}, {"error": error | {"colour": 1}}, {"next": -1}):
        await runner.result(held, 422, **ending)
    await runner.result(held, error=error)
    job = await services.jobs.get(person, held["id"])
    assert job.error is not None
    assert (job.state, job.error.code, job.error.message) == ("failed", "broken", "It broke")


async def test_bodies_that_are_no_json_are_told_apart_from_bodies_that_do_not_fit(runner: Caller) -> None:
    path = runner.url + "/api/runners/heartbeat"
    for body, status in ((b"{", 400), (b"\xff", 400), (b"[]", 422), (b'{"session": 1, "wait": 0}', 422)):
        async with runner.http.post(path, data=body, headers=runner.headers) as response:
            assert response.status == status, body


async def test_one_token_has_few_large_bodies_under_way_and_an_ordinary_one_beside_them(
    live: Live, http: aiohttp.ClientSession, services: Services
) -> None:
    token = (await services.runner_tokens.create("desk")).token
    caller = Caller(http, live.url, token)
    await caller.register()
    head = f"POST /api/runners/heartbeat HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    large = f"{head}Content-Length: 1000000\r\n\r\n".encode() + b" " * 100_000
    connections = []
    try:
        for count in range(1, MOST + 1):
            connections.append(await asyncio.open_connection("127.0.0.1", live.port))
            connections[-1][1].write(large)
            await until(lambda n=count: sum(services.large_bodies._under_way.values()) == n)  # type: ignore[misc]
        connections.append(await asyncio.open_connection("127.0.0.1", live.port))
        connections[-1][1].write(large)
        answer = await asyncio.wait_for(connections[-1][0].readuntil(b"\r\n\r\n"), 20)
        assert answer.startswith(b"HTTP/1.1 503")
        await caller.beat()
    finally:
        for _, writer in connections:
            writer.close()
    await until(lambda: not services.large_bodies._under_way)
