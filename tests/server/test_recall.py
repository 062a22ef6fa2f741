"""A recording that is on its way out is held back as soon as whoever takes it may not have it any longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest
from tortoise.exceptions import OperationalError

from projectw_server.accounts.principals import Person
from projectw_server.api import recall
from projectw_server.api.context import Services
from projectw_server.db import Database
from projectw_server.jobs.service import Recording
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import NewToken, UserChange
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

from .conftest import PASSWORD
from .live import Live, serving, until
from .test_runners_api import Caller

MIB = 1024 * 1024
SIZE = 40 * MIB
"""More than what the kernel holds for a client that does not read."""


@pytest.fixture(autouse=True)
def looked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "LOOKED_EVERY_SECONDS", 0.05)


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    async with serving(settings, database) as live:
        yield live


@pytest.fixture
def services(live: Live) -> Services:
    return live.services


@pytest.fixture
async def person(services: Services) -> Person:
    return await services.users.add("ada@example.org", PASSWORD)


@pytest.fixture
async def job(services: Services, person: Person) -> Job:
    job_id = new_id()
    async with services.receiving._store.writing(job_id) as writer:
        for _ in range(SIZE // MIB):
            await writer.write(bytes(MIB))
        digest = await writer.commit()
    recording = Recording(job_id, "talk.wav", "audio/wav", SIZE, digest)
    return await services.jobs.submit(person, recording, JobSettings())


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


async def taken(live: Live, path: str, token: str, meanwhile: Callable[[], Awaitable[object]]) -> int:
    """Begin to take the recording, stop, do ``meanwhile`` and take the rest; return how much came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await meanwhile()
        count = 0
        with suppress(ConnectionResetError):
            while count < SIZE and (piece := await asyncio.wait_for(reader.read(MIB), 20)):
                count += len(piece)
        return count
    finally:
        writer.close()


async def ended(live: Live) -> None:
    await until(lambda: live.occupancy.total == 0, 20)


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("way", ["logged out", "disabled", "token revoked", "account deleted"])
async def test_nothing_more_of_it_comes_to_a_person_whose_right_has_ended(
    live: Live, services: Services, person: Person, job: Job, way: str
) -> None:
    await services.users.add("root@example.org", PASSWORD, is_admin=True)
    session = await services.sessions.login(person.email, PASSWORD)
    claims = services.sessions.read(session.access_token)
    assert claims is not None
    signed_in = await services.sessions.identify(claims)
    assert signed_in is not None
    created = await services.api_tokens.create(signed_in, NewToken("script", "read"))

    async def meanwhile() -> None:
        match way:
            case "logged out":
                await services.sessions.logout(claims.session_id)
            case "disabled":
                await services.changes.of_user(person.id, UserChange(disabled=True))
            case "token revoked":
                await services.api_tokens.revoke(signed_in, created.id)
            case _:
                await services.erasing.erase(person.id)
        await ended(live)

    token = created.token if way == "token revoked" else session.access_token
    assert await taken(live, f"/api/jobs/{job.id}/audio", token, meanwhile) < SIZE


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("way", ["cancelled", "deleted", "revoked"])
async def test_nothing_more_of_it_comes_to_a_runner_that_does_not_hold_the_job(
    live: Live, services: Services, person: Person, job: Job, http: aiohttp.ClientSession, way: str
) -> None:
    created = await services.runner_tokens.create("desk")
    runner = Caller(http, live.url, created.token)
    await runner.register()
    held = (await runner.beat())["job"]

    async def meanwhile() -> None:
        match way:
            case "cancelled":
                await services.jobs.cancel(person, job.id)
                await runner.result(held, error={"code": "cancelled", "message": "as asked"})
            case "deleted":
                await services.jobs.delete(person, job.id)
            case _:
                await services.fleet.delete(created.id)
        await http.close()
        await ended(live)

    path = f"/api/runners/jobs/{job.id}/audio?lease={held['lease']}"
    assert await taken(live, path, created.token, meanwhile) < SIZE


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_who_still_may_gets_all_of_it_also_when_the_database_does_not_answer_for_a_while(
    live: Live, services: Services, person: Person, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await services.sessions.login(person.email, PASSWORD)
    looked = asyncio.Event()

    async def meanwhile() -> None:
        is_open = services.sessions.is_open

        async def broken(*_: object) -> bool:
            looked.set()
            monkeypatch.setattr(services.sessions, "is_open", is_open)
            raise OperationalError("the database does not answer")

        monkeypatch.setattr(services.sessions, "is_open", broken)
        await looked.wait()

    assert await taken(live, f"/api/jobs/{job.id}/audio", session.access_token, meanwhile) == SIZE
