"""Server-sent events over a real socket."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from projectw_server.accounts.principals import Person
from projectw_server.api import events as events_door
from projectw_server.api.context import Services
from projectw_server.jobs.service import Recording
from projectw_shared.accounts import NewToken
from projectw_shared.events import ServerSentEvent, parse_events
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

from .conftest import PASSWORD
from .live import Live, until
from .making import finished


@pytest.fixture
def services(live: Live) -> Services:
    return live.services


@pytest.fixture
async def person(services: Services) -> Person:
    return await services.users.add("ada@example.org", PASSWORD)


@pytest.fixture
async def token(services: Services, person: Person) -> str:
    return (await services.sessions.login(person.email, PASSWORD)).access_token


@pytest.fixture
async def http(live: Live, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(
        live.url, headers=headers, timeout=aiohttp.ClientTimeout(total=30)
    ) as http:
        yield http


async def submit(services: Services, person: Person) -> Job:
    recording = Recording(new_id(), "a.wav", "audio/wav", 1, "0" * 64)
    return await services.jobs.submit(person, recording, JobSettings())


def opened(response: aiohttp.ClientResponse) -> AsyncIterator[ServerSentEvent]:
    return aiter(parse_events(response.content.iter_any()))


async def following(events: AsyncIterator[ServerSentEvent]) -> ServerSentEvent:
    return await asyncio.wait_for(anext(events), 10)


async def test_the_stream_begins_with_hello_and_brings_changes(
    services: Services, person: Person, http: aiohttp.ClientSession
) -> None:
    async with http.get("/api/events") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        stream = opened(response)
        assert (await following(stream)).name == "hello"
        job = await submit(services, person)
        event = await following(stream)
        assert (event.name, event.id) == ("job", job.revision)
        assert msgspec.json.decode(event.data, type=Job) == job


async def test_last_event_id_brings_what_was_missed(
    services: Services, person: Person, http: aiohttp.ClientSession
) -> None:
    first = await submit(services, person)
    second = await submit(services, person)
    async with http.get("/api/events", headers={"Last-Event-ID": str(first.revision)}) as response:
        stream = opened(response)
        assert (await following(stream)).name == "hello"
        missed = await following(stream)
        assert (missed.name, missed.id) == ("job", second.revision)
    for unknown in ("x", "9" * 4000, "999999"):
        async with http.get("/api/events", headers={"Last-Event-ID": unknown}) as response:
            stream = opened(response)
            assert [(await following(stream)).name for _ in range(2)] == ["hello", "reset"]


async def test_a_client_that_leaves_is_forgotten(
    services: Services, person: Person, http: aiohttp.ClientSession
) -> None:
    async with http.get("/api/events") as response:
        await following(opened(response))
        assert services.bus.is_watched(person.id)
        response.close()
    await until(lambda: not services.bus.is_watched(person.id))


@pytest.mark.parametrize("busy", [False, True])
async def test_the_stream_ends_with_the_sign_in_also_when_much_happens(
    services: Services,
    person: Person,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    busy: bool,
) -> None:
    monkeypatch.setattr(events_door, "KEEP_ALIVE_SECONDS", 0.2)
    (session,) = [row["id"] for row in await services.sessions._database.rows("SELECT id FROM sessions")]

    async def be_busy() -> None:
        while busy:
            await submit(services, person)
            await asyncio.sleep(0.01)

    noise = asyncio.create_task(be_busy())
    try:
        async with http.get("/api/events") as response:
            await following(opened(response))
            await services.sessions.logout(session)
            async with asyncio.timeout(10):
                await response.read()
    finally:
        noise.cancel()
        await asyncio.wait([noise])


async def test_a_silent_stream_is_kept_open_by_comments(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_door, "KEEP_ALIVE_SECONDS", 0.02)
    async with http.get("/api/events") as response:
        seen = b""
        async with asyncio.timeout(10):
            while seen.count(b": keep-alive\n\n") < 3:
                seen += await response.content.readany()


async def test_asking_for_the_head_alone_does_not_wait_for_the_end(http: aiohttp.ClientSession) -> None:
    async with http.head("/api/events", timeout=aiohttp.ClientTimeout(total=10)) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_what_is_read_on_a_stream_is_noted_as_read(
    services: Services, person: Person, http: aiohttp.ClientSession
) -> None:
    async with http.get("/api/events") as response:
        stream = opened(response)
        await following(stream)
        job_id = await finished(services, person, " Words.", job=(await submit(services, person)).id)
        while (await following(stream)).name != "segments":
            pass
        page = await services.audit.page(action="transcript-read", actor_id=None, limit=9, cursor=None)
        assert [(entry.actor_id, entry.object_id) for entry in page.entries] == [(person.id, job_id)]


async def test_nothing_goes_out_a_second_after_an_api_token_was_revoked(
    services: Services, person: Person, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_door, "GOOD_FOR_SECONDS", 0.0)
    made = await services.api_tokens.create(person, NewToken("t"))
    headers = {"Authorization": f"Bearer {made.token}"}
    async with aiohttp.ClientSession(live.url, headers=headers) as http, http.get("/api/events") as response:
        stream = opened(response)
        await following(stream)
        await services.api_tokens.revoke(person, made.id)
        await submit(services, person)
        with pytest.raises(StopAsyncIteration):
            await following(stream)
