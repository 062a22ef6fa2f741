"""Held heartbeats: who gets a job, who hears of what, and that nobody who has gone gets anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.dispatch import dispatcher, sweeper
from projectw_server.dispatch.waiters import Waiter
from projectw_server.events.signals import Beating
from projectw_server.jobs.claiming import Holder
from projectw_shared.errors import LeaseLost, SessionLost, Unavailable
from projectw_shared.messages import Assignment, Heartbeat, HeartbeatReply, HeldJob, Result

from ..core import OFFERS, Core, appending, beat

LONG = 15.0


class Runner:
    """A runner that calls the dispatcher."""

    def __init__(self, core: Core, identity: RunnerIdentity, holder: Holder) -> None:
        self.core = core
        self.identity = identity
        self.holder = holder

    def beats(self, wait: float = LONG, job: HeldJob | None = None) -> "asyncio.Task[HeartbeatReply]":
        message = Heartbeat(self.holder.session, wait, job)
        return asyncio.ensure_future(self.core.dispatcher.heartbeat(self.identity, message))

    async def held(self, job: HeldJob | None = None) -> "asyncio.Task[HeartbeatReply]":
        """Send a heartbeat, and return when the server holds it."""
        task = self.beats(job=job)
        key = (self.identity.id, self.holder.session)
        waiters = self.core.dispatcher.waiters._waiting
        older = waiters.get(key)

        def is_held() -> bool:
            waiter = waiters.get(key)
            if waiter is None or waiter is older:
                return False
            return job is not None or waiter.holder is not None

        await until(lambda: is_held() or task.done())
        await settled()
        return task

    async def gets_job(self) -> Assignment:
        reply = await asyncio.wait_for(self.beats(), 10)
        assert reply.job is not None
        return reply.job

    async def finish(self, held: Assignment) -> None:
        await self.core.dispatcher.finish(self.identity, held.id, Result(held.lease, next=0))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def settled() -> None:
    """Let every other task go as far as it can without waiting for time to pass."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def answered(task: "asyncio.Task[HeartbeatReply]") -> HeartbeatReply:
    return await asyncio.wait_for(task, 10)


async def gone(task: "asyncio.Task[HeartbeatReply]") -> None:
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture(autouse=True)
async def matching(core: Core) -> AsyncIterator[None]:
    async with core.matching():
        yield


@pytest.fixture
async def runner(core: Core) -> Runner:
    identity = await core.runner()
    return Runner(core, identity, await core.register(identity))


@pytest.fixture
async def other(core: Core) -> Runner:
    identity = await core.runner("other")
    return Runner(core, identity, await core.register(identity))


async def test_a_job_reaches_the_runner_that_waits(core: Core, person: Person, runner: Runner) -> None:
    waiting = await runner.held()
    job = await core.submit(person)
    reply = await answered(waiting)
    assert reply.job is not None
    assert (reply.job.id, reply.abort, reply.drain) == (job.id, False, False)


async def test_a_job_that_waits_reaches_the_runner_that_comes(
    core: Core, person: Person, runner: Runner
) -> None:
    job = await core.submit(person)
    assert (await runner.gets_job()).id == job.id


async def test_an_impatient_runner_is_answered_at_once(core: Core, person: Person, runner: Runner) -> None:
    assert (await answered(runner.beats(wait=0))).job is None
    job = await core.submit(person)
    reply = await answered(runner.beats(wait=0))
    assert reply.job is not None
    assert reply.job.id == job.id


async def test_jobs_go_to_the_runners_in_the_order_in_which_they_came(
    core: Core, person: Person, runner: Runner, other: Runner
) -> None:
    first, second = await runner.held(), await other.held()
    await core.submit(person)
    assert (await answered(first)).job is not None
    assert not second.done()
    await core.submit(person)
    assert (await answered(second)).job is not None


async def test_many_jobs_are_claimed_side_by_side(
    core: Core, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = [await core.runner(f"runner-{number}") for number in range(6)]
    runners = [Runner(core, identity, await core.register(identity)) for identity in identities]
    claim, submitted, under_way, most = core.leases.claim, asyncio.Event(), 0, 0

    async def counted(holder: Holder, *, is_alone: bool = False) -> Assignment | None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await submitted.wait()
            return await claim(holder, is_alone=is_alone)
        finally:
            under_way -= 1

    held = [await runner.held() for runner in runners]
    monkeypatch.setattr(core.leases, "claim", counted)
    jobs = {(await core.submit(person)).id for _ in runners}
    submitted.set()
    replies = [await answered(task) for task in held]
    assert {reply.job.id for reply in replies if reply.job is not None} == jobs
    assert most > 1


async def test_nothing_is_assigned_to_a_client_that_has_gone(
    core: Core, person: Person, runner: Runner
) -> None:
    await gone(await runner.held())
    job = await core.submit(person)
    await settled()
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 0)
    assert len(core.dispatcher.waiters) == 0


@pytest.mark.parametrize("wait", [0.0, LONG])
async def test_a_job_claimed_while_its_client_went_is_handed_back(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch, wait: float
) -> None:
    claim, reached, go_on = core.leases.claim, asyncio.Event(), asyncio.Event()

    async def slow(holder: Holder, *, is_alone: bool) -> Assignment | None:
        reached.set()
        assignment = await claim(holder, is_alone=is_alone)
        await go_on.wait()
        return assignment

    monkeypatch.setattr(core.leases, "claim", slow)
    job = await core.submit(person)
    task = runner.beats(wait=wait)
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    await settled()
    go_on.set()
    await asyncio.wait([task])
    monkeypatch.undo()
    held = await runner.gets_job()
    assert (held.id, held.lease) == (job.id, 2)
    assert (await core.jobs.get(person, job.id)).attempts == 1


async def test_a_job_whose_client_goes_in_the_moment_of_the_answer_is_handed_back(
    core: Core, person: Person, runner: Runner
) -> None:
    task = await runner.held()
    (waiter,) = core.dispatcher.waiters.next_idle(OFFERS)
    answer = waiter.answer

    def and_leave(assignment: Assignment | None = None) -> bool:
        told = answer(assignment)
        task.cancel()
        return told

    waiter.answer = and_leave  # type: ignore[method-assign]  # to be cancelled between answer and reply
    job = await core.submit(person)
    await asyncio.wait([task])
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 0)
    assert (await runner.gets_job()).id == job.id


def slowed(core: Core) -> tuple[Callable[..., Awaitable[Assignment | None]], asyncio.Event, asyncio.Event]:
    """Return a claim that tells when it is done, and then waits until it may return."""
    claim, reached, go_on = core.leases.claim, asyncio.Event(), asyncio.Event()

    async def slow(holder: Holder, *, is_alone: bool) -> Assignment | None:
        assignment = await claim(holder, is_alone=is_alone)
        reached.set()
        await go_on.wait()
        return assignment

    return slow, reached, go_on


async def test_a_newer_heartbeat_waits_for_what_is_claimed_for_the_older(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be told of a lease that is handed back in the next moment."""
    slow, reached, go_on = slowed(core)
    older = await runner.held()
    monkeypatch.setattr(core.leases, "claim", slow)
    await core.submit(person)
    await asyncio.wait_for(reached.wait(), 10)
    newer = runner.beats()
    await settled()
    go_on.set()
    assert (await answered(older)).job is None
    assignment = (await answered(newer)).job
    assert assignment is not None
    assert await core.leases.beat(runner.holder, beat(assignment)) is False


async def test_a_job_is_not_given_back_while_its_runner_hears_of_it_at_another_server(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, reached, go_on = slowed(core)
    here = await runner.held()
    monkeypatch.setattr(core.leases, "claim", slow)
    job = await core.submit(person)
    await asyncio.wait_for(reached.wait(), 10)
    core.signals.tell_here(Beating(runner.holder.runner_id, runner.holder.session))
    there = await core.leases.held_by(runner.holder)
    assert there is not None
    go_on.set()
    assert (await answered(here)).job is None
    assert await core.leases.beat(runner.holder, beat(there)) is False
    assert (await core.jobs.get(person, job.id)).state == "running"


async def test_a_claim_counts_as_under_way_before_any_other_heartbeat_can_end(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side they begin a moment later, in which a runner whose time is up must not ask anew."""
    await runner.held()
    (waiter,) = core.dispatcher.waiters.next_idle(OFFERS)
    seen: list[bool] = []

    async def match_one(waiter: Waiter) -> bool:
        return False

    async def gather(*works: Awaitable[bool]) -> list[bool]:
        seen.append(waiter.settled.is_set())
        return [await work for work in works]

    monkeypatch.setattr(core.dispatcher, "_match_one", match_one)
    monkeypatch.setattr(dispatcher.asyncio, "gather", gather)
    await core.dispatcher._match_all(OFFERS)
    assert seen == [False]
    waiter.settled.set()


async def test_a_lost_answer_is_given_again(core: Core, person: Person, runner: Runner) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    assert await runner.gets_job() == held
    assert (await answered(runner.beats(wait=0))).job == held


async def test_a_working_runner_hears_of_an_abort_while_its_heartbeat_is_held(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    waiting = await runner.held(beat(held))
    assert not waiting.done()
    await core.jobs.cancel(person, held.id)
    reply = await answered(waiting)
    assert (reply.abort, reply.job) == (True, None)


async def test_an_abort_during_the_beginning_of_a_heartbeat_is_not_missed(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    read = core.leases.beat

    async def then_cancelled(holder: Holder, job: HeldJob) -> bool:
        found = await read(holder, job)
        await core.jobs.cancel(person, held.id)
        return found

    monkeypatch.setattr(core.leases, "beat", then_cancelled)
    assert (await answered(runner.beats(job=beat(held)))).abort


async def test_drain_during_the_beginning_of_a_heartbeat_is_not_missed(
    core: Core, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = core.leases.held_by

    async def then_drained(holder: Holder) -> Assignment | None:
        found = await read(holder)
        await core.fleet.drain(runner.identity.id)
        return found

    monkeypatch.setattr(core.leases, "held_by", then_drained)
    assert (await answered(runner.beats())).drain


async def test_an_abort_is_not_repeated_in_a_circle(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    await core.jobs.cancel(person, held.id)
    assert (await answered(runner.beats(job=beat(held)))).abort
    waiting = await runner.held(beat(held))
    assert not waiting.done()
    await gone(waiting)
    monkeypatch.setattr(dispatcher, "REPEATED_NEWS_SECONDS", 0.001)
    assert (await answered(runner.beats(job=beat(held)))).abort


async def test_a_heartbeat_with_segments_is_answered_at_once_and_ends_no_other(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    waiting = await runner.held(beat(held))
    reply = await answered(runner.beats(wait=LONG, job=appending(held, 0, 2)))
    assert (reply.abort, reply.drain, reply.job) == (False, False, None)
    assert not waiting.done()
    await gone(waiting)


async def test_the_runner_s_own_result_ends_its_heartbeat_without_an_error(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    waiting = await runner.held(beat(held))
    await runner.finish(held)
    reply = await answered(waiting)
    assert (reply.job, reply.abort) == (None, False)


async def test_a_newer_heartbeat_ends_the_older_one_without_an_error(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    older = await runner.held(beat(held))
    newer = await runner.held(beat(held))
    assert (await answered(older)).abort is False
    assert not newer.done()
    await gone(newer)


async def test_saying_good_bye_ends_the_held_heartbeat_without_an_error(core: Core, runner: Runner) -> None:
    waiting = await runner.held()
    await core.dispatcher.unregister(runner.identity, runner.holder.session)
    assert (await answered(waiting)).job is None
    with pytest.raises(SessionLost):
        await answered(runner.beats())


async def test_a_job_deleted_while_its_heartbeat_is_held_is_lost_at_once(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    waiting = await runner.held(beat(held))
    await core.jobs.delete(person, held.id)
    with pytest.raises(LeaseLost):
        await answered(waiting)


async def test_a_takeover_ends_the_former_session_s_heartbeat_at_once(core: Core, runner: Runner) -> None:
    waiting = await runner.held()
    await core.register(runner.identity)
    with pytest.raises(SessionLost):
        await answered(waiting)


async def test_a_cordoned_runner_waits_without_getting_anything_until_it_is_uncordoned(
    core: Core, person: Person, runner: Runner
) -> None:
    waiting = await runner.held()
    await core.fleet.cordon(runner.identity.id, cordoned=True)
    assert (await answered(waiting)).job is None
    job = await core.submit(person)
    assert (await answered(runner.beats(wait=0))).job is None
    waiting = runner.beats()
    await settled()
    assert not waiting.done()
    await core.fleet.cordon(runner.identity.id, cordoned=False)
    assert (await answered(waiting)).job is None
    assert (await runner.gets_job()).id == job.id


async def test_a_draining_runner_hears_of_it_and_gets_nothing_more(
    core: Core, person: Person, runner: Runner
) -> None:
    waiting = await runner.held()
    await core.fleet.drain(runner.identity.id)
    assert (await answered(waiting)).drain
    await core.submit(person)
    reply = await answered(runner.beats(wait=0))
    assert (reply.drain, reply.job) == (True, None)


async def test_a_working_runner_hears_of_drain_and_keeps_its_job(
    core: Core, person: Person, runner: Runner
) -> None:
    await core.submit(person)
    held = await runner.gets_job()
    waiting = await runner.held(beat(held))
    await core.fleet.drain(runner.identity.id)
    reply = await answered(waiting)
    assert (reply.drain, reply.abort) == (True, False)
    await runner.finish(held)


async def test_a_job_held_by_a_busy_runner_does_not_keep_others_from_theirs(
    core: Core, person: Person, runner: Runner, other: Runner
) -> None:
    """A waiter that cannot be served must not stand in the way of those behind it."""
    first, second = await runner.held(), await other.held()
    await core.database.rows("UPDATE runners SET session = 'another' WHERE id = $1", runner.identity.id)
    job = await core.submit(person)
    reply = await answered(second)
    assert reply.job is not None
    assert reply.job.id == job.id
    with pytest.raises(SessionLost):
        await answered(first)


async def test_matching_survives_a_database_that_fails_for_a_while(
    core: Core, person: Person, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "RETRY_SECONDS", 0.001)
    claim, failures = core.leases.claim, iter([ConnectionError("busy"), OSError("full")])

    async def unsteady(holder: Holder, *, is_alone: bool) -> Assignment | None:
        for failure in failures:
            raise failure
        return await claim(holder, is_alone=is_alone)

    monkeypatch.setattr(core.leases, "claim", unsteady)
    await core.submit(person)
    assert (await runner.gets_job()).lease == 1


async def test_fifty_runners_and_two_hundred_jobs_meet_each_once(core: Core, person: Person) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        identity = await core.runner(name)
        runner = Runner(core, identity, await core.register(identity))
        while len(done) < 200:
            reply = await runner.beats(wait=0.2)
            if reply.job is not None:
                done.append(reply.job.id)
                await runner.finish(reply.job)

    workers = [asyncio.ensure_future(work(f"gpu-{n}")) for n in range(50)]
    jobs = [(await core.submit(person)).id for _ in range(200)]
    await asyncio.wait_for(asyncio.gather(*workers), 60)
    assert sorted(done) == sorted(jobs)
    assert len(core.dispatcher.waiters) == 0


async def test_closing_answers_everybody_and_takes_nobody_new(
    core: Core, runner: Runner, other: Runner
) -> None:
    waiting = await runner.held()
    core.dispatcher.close()
    assert (await answered(waiting)).job is None
    with pytest.raises(Unavailable):
        await answered(other.beats())


async def test_memory_of_what_was_told_does_not_grow_with_sessions(core: Core, person: Person) -> None:
    identity = await core.runner()
    for _ in range(5):
        runner = Runner(core, identity, await core.register(identity))
        await core.fleet.drain(identity.id)
        assert (await answered(runner.beats())).drain
    assert len(core.dispatcher._told) == 1


async def test_a_task_of_the_sweeper_survives_its_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()
        raise RuntimeError("nobody thought of this")

    task = asyncio.ensure_future(sweeper.every(0.001, work, "test"))
    await asyncio.wait_for(enough.wait(), 10)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_heartbeats_that_come_together_do_not_end_together(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []

    async def note(_waiter: Waiter, seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr(Waiter, "wait", note)
    for _ in range(10):
        await answered(runner.beats(wait=60.0))
    assert all(LONG * dispatcher.SHORTEST_SHARE <= seconds <= LONG for seconds in held)
    assert len(set(held)) > 1
    held.clear()
    # Whoever asks for less gets just that.
    await answered(runner.beats(wait=2.0))
    assert held == [2.0]
