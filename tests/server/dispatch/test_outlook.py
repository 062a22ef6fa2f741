"""What people are told of jobs that wait: why, and until when; learned from what was measured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import msgspec
import pytest

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.dispatch.estimating import Estimating
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.echo import Echo
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Estimate, EstimateWish, Job, Result

from ..core import HEARTBEAT_SECONDS, Core, beat
from ..live import until


@pytest.fixture
def estimating(core: Core) -> Estimating:
    return Estimating(core.database, core.roster, core.outlook)


async def look(core: Core) -> None:
    await core.roster.refresh()
    await core.roster.forecast()


async def do_one(core: Core, person: Person, holder: Holder, *, audio: float, seconds: float) -> None:
    """Let a runner do a job of ``audio`` seconds in ``seconds``."""
    await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held))
    core.clock.advance(seconds)
    core.presence.note(holder.runner_id, holder.session, core.clock.now())
    runner = RunnerIdentity(holder.runner_id, holder.name)
    await core.dispatcher.finish(runner, held.id, Result(held.lease, next=0, language="en", duration=audio))


async def why(core: Core, person: Person, job_id: str) -> str | None:
    waiting = (await core.jobs.get(person, job_id)).waiting
    return waiting and f"{waiting.code}: {waiting.message}"


async def test_a_job_says_why_it_waits(core: Core, person: Person) -> None:
    job = await core.submit(person, settings=JobSettings(model="large-v3"))
    await look(core)
    assert await why(core, person, job.id) == "no-runner: no runner is online"
    await core.register(await core.runner("small"), models=["tiny"])
    await look(core)
    assert await why(core, person, job.id) == "no-capable-runner: no runner offers large-v3"
    big = await core.register(await core.runner("big"), models=["large"])
    await core.fleet.cordon(big.runner_id, cordoned=True)
    await look(core)
    assert await why(core, person, job.id) == "cordoned: the runners that offer large-v3 take no new jobs"
    await core.fleet.cordon(big.runner_id, cordoned=False)
    await look(core)
    assert await why(core, person, job.id) == "busy: it is the next, as soon as a runner is free"
    second = await core.submit(person, settings=JobSettings(model="large-v3"))
    assert await why(core, person, second.id) == "busy: 1 job is before it"
    assert (await core.claim(big)).id == job.id
    assert await why(core, person, job.id) is None


async def test_a_runner_that_does_not_call_any_more_is_not_counted_on(core: Core, person: Person) -> None:
    await core.register(await core.runner("big"), models=["large-v3"])
    core.clock.advance(HEARTBEAT_SECONDS * 4)
    await core.register(await core.runner("small"), models=["tiny"])
    job = await core.submit(person, settings=JobSettings(model="large-v3"))
    await look(core)
    assert await why(core, person, job.id) == "offline: the runners that offer large-v3 are not online"


async def test_the_time_until_a_job_is_done_is_learned_and_kept_over_a_restart(
    core: Core, person: Person, holder: Holder
) -> None:
    await look(core)
    job = await core.submit(person, size=16_000 * 60)
    await look(core)
    assert (await core.jobs.get(person, job.id)).eta is None
    await core.finish(holder, await core.claim(holder))
    await do_one(core, person, holder, audio=600.0, seconds=60.0)
    waiting = [await core.submit(person, size=16_000 * 60) for _ in range(2)]
    restarted = Core(core.database, core.clock)
    restarted.presence.note(holder.runner_id, holder.session, core.clock.now())
    for each in (core, restarted):
        await look(each)
        etas = [(await each.jobs.get(person, job.id)).eta for job in waiting]
        # At ten times real time a minute takes 6 s, and one more to begin.
        assert etas == [7.0, 14.0]
    core.clock.advance(3)
    assert (await core.jobs.get(person, waiting[0].id)).eta == 4.0


async def test_short_and_resumed_pieces_teach_nothing_wrong(
    core: Core, person: Person, holder: Holder
) -> None:
    await do_one(core, person, holder, audio=2.0, seconds=5.0)
    assert await core.database.rows("SELECT factor FROM speeds") == []
    await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held, resume_at=500.0, first=0))
    await core.leases.hand_back(held.id, held.lease)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held))
    core.clock.advance(10)
    runner = RunnerIdentity(holder.runner_id, holder.name)
    await core.dispatcher.finish(runner, held.id, Result(held.lease, next=0, language="en", duration=600.0))
    assert await core.database.rows("SELECT factor, samples FROM speeds") == [{"factor": 10.0, "samples": 1}]


async def test_an_estimate_says_what_would_become_of_a_recording(
    core: Core, person: Person, holder: Holder, estimating: Estimating
) -> None:
    await do_one(core, person, holder, audio=600.0, seconds=60.0)
    other = await core.person()
    await core.submit(other, size=16_000 * 60)
    await look(core)
    found = await estimating.estimate(person, EstimateWish(duration=60.0))
    assert found == Estimate(position=2, begins_in=7.0, eta=14.0, runners=1, waiting=None)
    assert await estimating.estimate(person, EstimateWish(bytes=16_000 * 60)) == found
    urgent = await estimating.estimate(person, EstimateWish(duration=60.0, settings=JobSettings(priority=5)))
    assert (urgent.position, urgent.eta) == (1, 7.0)
    large = await estimating.estimate(
        person, EstimateWish(duration=60.0, settings=JobSettings(model="large-v3"))
    )
    assert (large.eta, large.runners) == (None, 0)
    assert large.waiting is not None
    assert large.waiting.message == "no runner offers large-v3"
    assert await core.database.rows("SELECT id FROM jobs WHERE state = 'queued'") != []
    assert len(await core.database.rows("SELECT id FROM jobs WHERE state = 'queued'")) == 1


@pytest.fixture
async def echo(core: Core) -> AsyncIterator[Echo]:
    echo = Echo(core.database, core.moves, core.bus, core.clock)
    core.roster.on_change.append(echo.show_waiting)
    task = asyncio.create_task(echo.run())
    yield echo
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_those_who_watch_are_told_when_a_runner_comes(core: Core, person: Person, echo: Echo) -> None:
    job = await core.submit(person, settings=JobSettings(model="large-v3"))
    await look(core)
    seen: list[Job] = []

    async def watch() -> None:
        async with aclosing(core.feed.stream(person.id, None)) as stream:
            async for event in stream:
                if event.name == "job":
                    assert event.id is None
                    seen.append(msgspec.json.decode(event.data, type=Job))

    watching = asyncio.create_task(watch())
    await until(lambda: core.bus.is_watched(person.id))
    await core.register(await core.runner("big"), models=["large-v3"])
    await core.roster.refresh()
    await until(lambda: seen)
    assert seen[0].id == job.id
    assert seen[0].position == 1
    assert seen[0].waiting is not None
    assert seen[0].waiting.code == "busy"
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
