"""Two servers on one PostgreSQL: what one does, the other's runners and readers learn of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import msgspec
import pytest

from projectw_server.accounts.principals import Person
from projectw_server.db import Database
from projectw_server.dispatch.office import STANDSTILL_SECONDS, Office
from projectw_server.events.relay import PostgresRelay
from projectw_server.events.signals import Changed, Missed, Progressed
from projectw_server.jobs.echo import Echo
from projectw_shared.events import ServerSentEvent
from projectw_shared.messages import Heartbeat, HeartbeatReply, Job
from tests.server.core import Core, SetClock, appending, beat, segments
from tests.server.live import until

pytestmark = pytest.mark.parametrize("kind", ["postgres"])


class Server(Core):
    """One of the servers, with its relay and what hangs on it."""

    def __init__(self, database: Database, clock: SetClock) -> None:
        assert database.connect is not None
        self.relay = PostgresRelay(database.connect)
        super().__init__(database, clock, self.relay)
        self.echo = Echo(database, self.moves, self.bus, self.clock)
        self.relay.on_signal(self.signals.tell_here)
        self.signals.on(Changed, self.feed.hear)
        self.signals.on(Progressed, self.echo.hear)
        self.signals.on(Missed, self.feed.look_soon)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        work = (self.relay.run(), self.echo.run(), self.feed.watch(), self.dispatcher.match())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            await until(lambda: self.relay.is_connected)
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


@pytest.fixture
async def servers(database: Database) -> AsyncIterator[list[Server]]:
    clock = SetClock()
    servers = [Server(database, clock) for _ in range(2)]
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.running())
        yield servers


@pytest.fixture
async def person(servers: list[Server]) -> Person:
    return await servers[0].person()


class Reader:
    """Somebody who reads a user's events at one server."""

    def __init__(self, server: Server, person: Person) -> None:
        self.events: list[ServerSentEvent] = []
        self._task = asyncio.create_task(self._read(server, person))

    async def _read(self, server: Server, person: Person) -> None:
        async with aclosing(server.feed.stream(person.id, None)) as stream:
            async for event in stream:
                self.events.append(event)

    def states(self, job_id: str) -> list[str]:
        jobs = [msgspec.json.decode(event.data, type=Job) for event in self.events if event.name == "job"]
        return [job.state for job in jobs if job.id == job_id]

    def progress(self, job_id: str) -> float:
        jobs = [msgspec.json.decode(event.data, type=Job) for event in self.events if event.name == "job"]
        return max((job.progress for job in jobs if job.id == job_id), default=0.0)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def reader(servers: list[Server], person: Person) -> AsyncIterator[Reader]:
    reader = Reader(servers[1], person)
    await until(lambda: reader.events)
    yield reader
    await reader.close()


async def waiting_at(server: Server) -> tuple[asyncio.Task[HeartbeatReply], Heartbeat]:
    runner = await server.runner()
    holder = await server.register(runner)
    heartbeat = Heartbeat(holder.session, 15)
    task = asyncio.create_task(server.dispatcher.heartbeat(runner, heartbeat))
    await until(server.dispatcher.waiters.idle_offers)
    return task, heartbeat


async def test_a_job_wakes_a_runner_that_waits_at_the_other_server(
    servers: list[Server], person: Person
) -> None:
    here, there = servers
    task, _ = await waiting_at(there)
    job = await here.submit(person)
    reply = await asyncio.wait_for(task, 1.5)
    assert reply.job is not None
    assert reply.job.id == job.id


async def test_an_abort_reaches_a_runner_that_waits_at_the_other_server(
    servers: list[Server], person: Person
) -> None:
    here, there = servers
    runner = await there.runner()
    holder = await there.register(runner)
    job = await here.submit(person)
    held = await there.claim(holder)
    working = asyncio.create_task(
        there.dispatcher.heartbeat(runner, Heartbeat(holder.session, 15, beat(held)))
    )
    await until(lambda: len(there.dispatcher.waiters))
    await here.jobs.cancel(person, job.id)
    assert (await asyncio.wait_for(working, 5)).abort


async def test_a_newer_heartbeat_ends_the_one_that_waits_at_the_other_server(servers: list[Server]) -> None:
    here, there = servers
    runner = await here.runner()
    holder = await here.register(runner)
    older = asyncio.create_task(here.dispatcher.heartbeat(runner, Heartbeat(holder.session, 15)))
    await until(here.dispatcher.waiters.idle_offers)
    newer = asyncio.create_task(there.dispatcher.heartbeat(runner, Heartbeat(holder.session, 15)))
    assert (await asyncio.wait_for(older, 5)).job is None
    assert not newer.done()
    newer.cancel()
    with suppress(asyncio.CancelledError):
        await newer


async def test_a_reader_at_the_other_server_sees_every_change_and_the_progress(
    servers: list[Server], person: Person, reader: Reader
) -> None:
    here, _ = servers
    holder = await here.holder()
    job = await here.submit(person)
    held = await here.claim(holder)
    await here.leases.beat(holder, appending(held, 0, 2, resume_at=2.0))
    await here.leases.beat(holder, beat(held, 0.4))
    await until(lambda: reader.progress(job.id) == 0.4)
    await here.finish(holder, held, 2)
    await until(lambda: reader.states(job.id)[-1:] == ["succeeded"])
    text = b"".join(event.data for event in reader.events if event.name == "segments")
    assert all(segment.text.encode() in text for segment in segments(0, 2))
    numbers = [event.id for event in reader.events if event.id is not None]
    assert numbers == sorted(set(numbers))


async def test_changes_that_two_servers_make_at_once_leave_no_gap_for_a_reader(
    servers: list[Server], person: Person, reader: Reader
) -> None:
    async def submit(server: Server) -> list[str]:
        return [(await server.submit(person)).id for _ in range(25)]

    submitted = {job_id for ids in await asyncio.gather(*map(submit, servers * 2)) for job_id in ids}
    await until(lambda: all(reader.states(job_id) for job_id in submitted))
    row = await servers[0].database.row("SELECT change FROM feeds WHERE owner_id = $1", person.id)
    assert row == {"change": len(submitted)}
    assert reader.events[-1].id == len(submitted)


async def test_what_was_said_while_nobody_listened_is_looked_up(
    servers: list[Server], person: Person, reader: Reader
) -> None:
    here, there = servers
    await here.database.rows(
        "SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND (query ILIKE 'LISTEN%' OR query ILIKE '%pg_notify%')"
    )
    job = await here.submit(person)
    await until(lambda: reader.states(job.id))
    task, _ = await waiting_at(there)
    reply = await asyncio.wait_for(task, 5)
    assert reply.job is not None


async def test_one_server_holds_an_office_and_another_takes_over_when_it_stands_still(
    database: Database,
) -> None:
    clocks = [SetClock(), SetClock(5.0)]
    first, second = [Office(database, "sweeper", clock) for clock in clocks]
    assert await first.hold()
    assert not await second.hold()
    for _ in range(3):
        clocks[1].advance(STANDSTILL_SECONDS)
        assert await first.hold()
        assert not await second.hold()
    clocks[1].advance(STANDSTILL_SECONDS + 0.1)
    assert await second.hold()
    assert not await first.hold()
    await second.resign()
    assert await first.hold()


async def test_a_lease_is_expired_by_the_one_in_office_for_a_runner_of_any_server(
    servers: list[Server], person: Person
) -> None:
    here, there = servers
    holder = await here.holder()
    job = await here.submit(person)
    held = await here.claim(holder)
    await here.leases.beat(holder, beat(held))
    assert await there.leases.expire() == 0
    here.clock.advance(50)
    await here.leases.beat(holder, beat(held, 0.1))
    here.clock.advance(8)
    await here.leases.defend()
    assert await there.leases.expire() == 0
    here.clock.advance(50)
    assert await there.leases.expire() == 0
    here.clock.advance(11)
    assert await there.leases.expire() == 1
    assert (await here.jobs.get(person, job.id)).state == "queued"
