"""The change feed: whoever was away and comes back ends up with what a fresh look would show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from projectw_server.accounts.principals import Person
from projectw_server.db import Database
from projectw_server.jobs import feed
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.feed import DELETIONS_KEPT_SECONDS
from projectw_shared.events import EventName, ServerSentEvent
from projectw_shared.messages import Hello, Job, JobDeleted, SegmentsAdded
from projectw_shared.transcripts import Segment

from ..core import Core, appending, beat


class Stream:
    """An open stream, read with a limit of time."""

    def __init__(self, events: AsyncIterator[ServerSentEvent]) -> None:
        self._events = events

    async def next(self) -> ServerSentEvent:
        return await asyncio.wait_for(anext(self._events), 10)


@asynccontextmanager
async def opened(core: Core, person: Person, last_seen: int | str | None = None) -> AsyncIterator[Stream]:
    seen = None if last_seen is None else str(last_seen)
    async with aclosing(core.feed.stream(person.id, seen)) as events:
        yield Stream(events)


async def missed(core: Core, person: Person, last_seen: int | str | None) -> list[ServerSentEvent]:
    """Everything that a stream begins with, up to where it would wait."""
    events = []
    async with aclosing(core.feed.stream(person.id, None if last_seen is None else str(last_seen))) as stream:
        events.append(await anext(stream))
        with core.bus.subscribe(person.id):
            core.bus.close()
        async for event in stream:
            events.append(event)
    return events


class Mirror:
    """What a client knows that only applies events."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.segments: dict[str, dict[int, Segment]] = {}

    def apply(self, event: ServerSentEvent) -> None:
        if event.name == EventName.JOB:
            job = msgspec.json.decode(event.data, type=Job)
            self.jobs[job.id] = job
        elif event.name == EventName.SEGMENTS:
            added = msgspec.json.decode(event.data, type=SegmentsAdded)
            known = self.segments.setdefault(added.job_id, {})
            known |= {segment.id: segment for segment in added.segments}
            assert sorted(known) == list(range(added.next)), "segments were left out"
        elif event.name == EventName.DELETED:
            gone = msgspec.json.decode(event.data, type=JobDeleted).job_id
            self.jobs.pop(gone, None)
            self.segments.pop(gone, None)

    def copy(self) -> "Mirror":
        twin = Mirror()
        twin.jobs = dict(self.jobs)
        twin.segments = {job_id: dict(known) for job_id, known in self.segments.items()}
        return twin


async def fresh_look(core: Core, person: Person) -> Mirror:
    mirror = Mirror()
    page = await core.jobs.page(person, states=[], text=None, limit=200, cursor=None)
    for job in page.jobs:
        mirror.jobs[job.id] = job
        found = await core.transcripts.since(person.id, job.id, 0)
        if found.segments:
            mirror.segments[job.id] = {segment.id: segment for segment in found.segments}
    return mirror


def _without_positions(jobs: dict[str, Job]) -> dict[str, Job]:
    return {job_id: msgspec.structs.replace(job, position=None) for job_id, job in jobs.items()}


async def live_through_much(core: Core, person: Person) -> None:
    """A history with every kind of change in it."""
    a = await core.submit(person, name="a.wav")
    b = await core.submit(person, name="b.wav")
    c = await core.submit(person, name="c.wav")
    first, second = await core.holder("one"), await core.holder("two")
    held_a, held_b = await core.claim(first), await core.claim(second)
    await core.leases.beat(first, beat(held_a, 0.1, duration=50.0))
    await core.leases.beat(first, appending(held_a, 0, 2, resume_at=10.0))
    await core.leases.beat(second, appending(held_b, 0, 1, resume_at=5.0))
    await core.leases.beat(first, appending(held_a, 2, 3, resume_at=30.0))
    await core.jobs.cancel(person, c.id)
    await core.leases.hand_back(b.id, held_b.lease)
    held_b = await core.claim(second)
    await core.leases.beat(second, appending(held_b, 1, 2, resume_at=25.0))
    await core.jobs.cancel(person, b.id)
    await core.fail(second, held_b, "cancelled")
    await core.jobs.delete(person, c.id)
    await core.finish(first, held_a, 5)
    await core.jobs.retry(person, b.id)
    d = await core.submit(person, name="d.wav")
    await core.jobs.delete(person, a.id)
    await core.jobs.delete(person, d.id)


async def test_the_first_event_is_hello_with_the_change_number(core: Core, person: Person) -> None:
    job = await core.submit(person)
    async with opened(core, person) as stream:
        hello = await stream.next()
    assert hello.name == EventName.HELLO
    assert msgspec.json.decode(hello.data, type=Hello).revision == hello.id == job.revision


async def test_changes_arrive_as_they_happen(core: Core, person: Person, holder: Holder) -> None:
    async with opened(core, person) as stream:
        hello = await stream.next()
        job = await core.submit(person)
        queued = await stream.next()
        assert msgspec.json.decode(queued.data, type=Job) == job
        held = await core.claim(holder)
        assert msgspec.json.decode((await stream.next()).data, type=Job).state == "assigned"
        await core.leases.beat(holder, appending(held, 0, 2))
        running, added = await stream.next(), await stream.next()
        assert (running.name, added.name) == (EventName.JOB, EventName.SEGMENTS)
        assert msgspec.json.decode(added.data, type=SegmentsAdded).next == 2
        await core.finish(holder, held, 2)
        assert msgspec.json.decode((await stream.next()).data, type=Job).progress == 1.0
        await core.jobs.delete(person, job.id)
        assert msgspec.json.decode((await stream.next()).data, type=JobDeleted).job_id == job.id
    assert hello.id is not None


async def test_change_numbers_grow_from_event_to_event(core: Core, person: Person) -> None:
    async with opened(core, person) as stream:
        hello = await stream.next()
        await live_through_much(core, person)
        numbers = [hello.id]
        while numbers[-1] != await current(core):
            event = await stream.next()
            if event.id is not None:
                numbers.append(event.id)
    assert numbers == sorted(set(numbers))  # type: ignore[type-var]  # none is None


async def current(core: Core) -> int:
    return int((await core.database.rows("SELECT max(change) AS last FROM feeds"))[0]["last"] or 0)


async def test_progress_carries_no_number(core: Core, person: Person, holder: Holder) -> None:
    await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held))
    async with opened(core, person) as stream:
        await stream.next()
        await core.leases.beat(holder, beat(held, 0.5))
        event = await stream.next()
    assert event.id is None
    assert msgspec.json.decode(event.data, type=Job).progress == 0.5


async def test_a_mere_change_of_position_sends_nothing(core: Core, person: Person, holder: Holder) -> None:
    await core.submit(await core.person())
    await core.submit(person)
    async with opened(core, person) as stream:
        await stream.next()
        await core.claim(holder)
        marker = await core.submit(person)
        assert msgspec.json.decode((await stream.next()).data, type=Job).id == marker.id


async def test_resuming_from_every_change_leads_to_what_a_fresh_look_shows(
    core: Core, person: Person
) -> None:
    """The property that makes Last-Event-ID trustworthy, over a history with every kind of change."""
    async with opened(core, person) as stream:
        hello = await stream.next()
        assert hello.id is not None
        known = {hello.id: Mirror()}
        mirror = Mirror()
        await live_through_much(core, person)
        end = await current(core)
        while True:
            event = await stream.next()
            mirror.apply(event)
            if event.id is not None:
                known[event.id] = mirror.copy()
                if event.id == end:
                    break
    expected = await fresh_look(core, person)
    assert len(known) > 15
    for number, before in known.items():
        resumed = before.copy()
        for event in await missed(core, person, number):
            resumed.apply(event)
        assert {i: (j.state, j.revision) for i, j in resumed.jobs.items()} == {
            i: (j.state, j.revision) for i, j in expected.jobs.items()
        }, number
        assert resumed.jobs == expected.jobs, number
        assert resumed.segments == expected.segments, number


async def test_a_resumed_stream_can_be_cut_anywhere_and_resumed_again(core: Core, person: Person) -> None:
    begin = await current(core)
    await live_through_much(core, person)
    whole = await missed(core, person, begin)
    expected = await fresh_look(core, person)
    for cut in range(1, len(whole) + 1):
        mirror, last = Mirror(), begin
        for event in whole[:cut]:
            mirror.apply(event)
            last = event.id or last
        for event in await missed(core, person, last):
            mirror.apply(event)
        assert mirror.jobs == expected.jobs, cut
        assert mirror.segments == expected.segments, cut


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_what_was_missed_is_read_in_pieces(
    core: Core, person: Person, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(feed, "CHANGES_AT_ONCE", at_once)
    begin = await current(core)
    jobs = [await core.submit(person, name=f"{n}.wav") for n in range(7)]
    await core.jobs.delete(person, jobs[3].id)
    mirror = Mirror()
    for event in await missed(core, person, begin):
        mirror.apply(event)
    assert mirror.jobs == (await fresh_look(core, person)).jobs


async def test_changes_during_the_replay_are_not_lost(core: Core, person: Person, holder: Holder) -> None:
    begin = await current(core)
    jobs = [await core.submit(person) for _ in range(3)]
    mirror = Mirror()
    async with opened(core, person, begin) as stream:
        await stream.next()
        mirror.apply(await stream.next())
        held = await core.claim(holder)
        await core.leases.beat(holder, appending(held, 0, 2))
        await core.jobs.delete(person, jobs[2].id)
        late = await core.submit(person)
        while late.id not in mirror.jobs or jobs[2].id in mirror.jobs:
            mirror.apply(await stream.next())
    expected = await fresh_look(core, person)
    # A mere change of position is no change.
    assert _without_positions(mirror.jobs) == _without_positions(expected.jobs)
    assert mirror.segments == expected.segments


async def test_momentary_news_from_before_does_not_come_after_the_replay(
    core: Core, person: Person, holder: Holder
) -> None:
    """A job that has ended must not seem to run again because of a word of progress that waited."""
    begin = await current(core)
    await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held))
    async with opened(core, person, begin) as stream:
        await stream.next()
        await core.leases.beat(holder, beat(held, 0.5))
        await core.finish(holder, held)
        assert msgspec.json.decode((await stream.next()).data, type=Job).state == "succeeded"
        following = asyncio.ensure_future(stream.next())
        for _ in range(20):
            await asyncio.sleep(0.001)
        marker = await core.submit(person)
        assert msgspec.json.decode((await following).data, type=Job).id == marker.id


async def test_a_change_that_commits_while_somebody_begins_to_watch_is_not_lost(
    core: Core, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce = core.moves.announce
    subscription = core.bus.subscribe(person.id)

    async def then_watch(*arguments: object) -> None:
        await announce(*arguments)  # type: ignore[arg-type]  # passed on as they came
        opened_now.append(subscription.__enter__())

    opened_now: list[AsyncIterator[ServerSentEvent]] = []
    monkeypatch.setattr(core.moves, "announce", then_watch)
    job = await core.submit(person)
    event = await asyncio.wait_for(anext(opened_now[0]), 10)
    assert event.id == job.revision
    subscription.__exit__(None, None, None)


async def test_nobody_sees_the_events_of_somebody_else(core: Core, person: Person) -> None:
    begin = await current(core)
    other = await core.person()
    async with opened(core, other) as live:
        await live.next()
        await live_through_much(core, person)
        theirs = await core.submit(other)
        event = await live.next()
        assert msgspec.json.decode(event.data, type=Job).id == theirs.id
    replayed = await missed(core, other, begin)
    assert [event.name for event in replayed] == [EventName.HELLO, EventName.JOB]


async def test_a_deletion_is_told_for_a_day_and_then_the_client_lists_anew(
    core: Core, person: Person
) -> None:
    begin = await current(core)
    job = await core.submit(person)
    seen = await current(core)
    await core.jobs.delete(person, job.id)
    core.clock.advance(DELETIONS_KEPT_SECONDS - 10)
    await core.feed.forget_old_deletions()
    assert [event.name for event in await missed(core, person, seen)] == ["hello", "deleted"]
    core.clock.advance(20)
    await core.feed.forget_old_deletions()
    for number in (begin, seen):
        assert [event.name for event in await missed(core, person, number)] == ["hello", "reset"]
    assert [event.name for event in await missed(core, person, await current(core))] == ["hello"]


@pytest.mark.parametrize(
    "last_seen", ["", "x", "-1", "1.5", " 1", "²", "９", "999", "9" * 19, "9" * 5000, "0x10", "1\n"]
)
async def test_an_id_that_is_not_known_is_met_by_reset(core: Core, person: Person, last_seen: str) -> None:
    await core.submit(person)
    hello, reset = await missed(core, person, last_seen)
    assert (hello.name, reset.name) == (EventName.HELLO, EventName.RESET)
    assert hello.id == await current(core)


async def test_numbers_grow_across_restarts(core: Core, person: Person, database: Database) -> None:
    before = (await core.submit(person)).revision
    restarted = Core(database, core.clock)
    assert (await restarted.submit(person)).revision > before
    mirror = Mirror()
    for event in await missed(restarted, person, 0):
        mirror.apply(event)
    assert len(mirror.jobs) == 2


async def test_a_stream_ends_when_the_server_stops(core: Core, person: Person) -> None:
    async with opened(core, person) as stream:
        await stream.next()
        waiting = asyncio.ensure_future(stream.next())
        await asyncio.sleep(0)
        core.bus.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
    assert not core.bus.is_watched(person.id)
