import pytest

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.db import Database
from projectw_server.dispatch.presence import Presence
from projectw_server.events.signals import RunnerNews
from projectw_server.jobs.claiming import Holder
from projectw_shared.errors import LeaseLost, NotFound, SessionLost, Unauthorized
from projectw_shared.messages import Assignment, Result, ResultError

from ..core import (
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    MAX_FAILURES_IN_ROW,
    OFFERS,
    Core,
    beat,
)


async def test_a_registration_tells_the_rhythm_and_is_seen(core: Core) -> None:
    runner = await core.runner("desk")
    holder = await core.register(runner)
    (seen,) = (await core.fleet.overview()).runners
    assert (seen.id, seen.name, seen.online, seen.version, seen.engine) == (
        runner.id,
        "desk",
        True,
        "1.0",
        "fake",
    )
    assert (seen.device, seen.models, seen.job, seen.cordoned, seen.draining) == (
        "cpu",
        ["tiny"],
        None,
        False,
        False,
    )
    found, _ = await core.fleet.holder(runner, holder.session)
    assert found == holder


async def test_a_second_registration_takes_over_at_once(core: Core, person: Person) -> None:
    runner = await core.runner()
    former = await core.register(runner)
    job = await core.submit(person)
    held = await core.claim(former)
    await core.leases.beat(former, beat(held))
    news: list[str] = []
    core.signals.on(RunnerNews, lambda signal: news.append(signal.runner_id))
    latter = await core.register(runner)
    assert news == [runner.id]
    with pytest.raises(SessionLost):
        await core.fleet.holder(runner, former.session)
    with pytest.raises(LeaseLost):
        await core.finish(former, held)
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 1)
    assert (await core.claim(latter)).lease == held.lease + 1


async def test_a_takeover_counts_as_an_expired_lease_also_for_the_last_attempt(
    core: Core, person: Person
) -> None:
    runner = await core.runner()
    job = await core.submit(person)
    for _ in range(MAX_ATTEMPTS):
        await core.claim(await core.register(runner))
    await core.register(runner)
    seen = await core.jobs.get(person, job.id)
    assert seen.error is not None
    assert (seen.state, seen.error.code) == ("failed", "runner-lost")


async def test_a_session_survives_a_restart_of_the_server(core: Core, database: Database) -> None:
    runner = await core.runner()
    holder = await core.register(runner)
    restarted = Core(database, core.clock)
    assert (await restarted.fleet.holder(runner, holder.session))[0] == holder


async def test_saying_good_bye_hands_the_job_back_without_an_attempt(core: Core, person: Person) -> None:
    runner = await core.runner()
    holder = await core.register(runner)
    job = await core.submit(person)
    await core.claim(holder)
    await core.fleet.unregister(runner, holder.session)
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("queued", 0)
    assert not (await core.fleet.overview()).runners[0].online
    with pytest.raises(SessionLost):
        await core.fleet.unregister(runner, holder.session)


async def test_a_former_session_cannot_say_good_bye_for_its_successor(core: Core, person: Person) -> None:
    runner = await core.runner()
    former = await core.register(runner)
    latter = await core.register(runner)
    await core.submit(person)
    held = await core.claim(latter)
    with pytest.raises(SessionLost):
        await core.fleet.unregister(runner, former.session)
    assert await core.leases.held_by(latter) == held


async def test_deleting_a_runner_revokes_it_and_queues_its_job(core: Core, person: Person) -> None:
    runner = await core.runner()
    holder = await core.register(runner)
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.fleet.delete(runner.id)
    assert (await core.jobs.get(person, job.id)).state == "queued"
    with pytest.raises(Unauthorized):
        await core.fleet.holder(runner, holder.session)
    with pytest.raises(LeaseLost):
        await core.leases.audio_of(runner.id, job.id, held.lease)
    with pytest.raises(NotFound):
        await core.fleet.delete(runner.id)


async def test_cordon_and_drain_are_seen_and_only_drain_ends_with_the_session(core: Core) -> None:
    runner = await core.runner()
    holder = await core.register(runner)
    assert (await core.fleet.cordon(runner.id, cordoned=True)).cordoned
    assert (await core.fleet.drain(runner.id)).draining
    await core.fleet.unregister(runner, holder.session)
    await core.register(runner)
    (seen,) = (await core.fleet.overview()).runners
    assert (seen.cordoned, seen.draining) == (True, False)
    assert not (await core.fleet.cordon(runner.id, cordoned=False)).cordoned


async def test_what_an_admin_does_to_an_unknown_runner_is_not_found(core: Core) -> None:
    for work in (core.fleet.cordon("x", cordoned=True), core.fleet.drain("x"), core.fleet.delete("x")):
        with pytest.raises(NotFound):
            await work


async def test_a_silent_runner_goes_offline_and_keeps_its_job_until_the_lease_ends(
    core: Core, person: Person, holder: Holder
) -> None:
    await core.submit(person)
    held = await core.claim(holder)
    core.clock.advance(HEARTBEAT_SECONDS * 2)
    (seen,) = (await core.fleet.overview()).runners
    assert (seen.online, seen.job) == (True, held.id)
    core.clock.advance(HEARTBEAT_SECONDS)
    (seen,) = (await core.fleet.overview()).runners
    assert (seen.online, seen.job) == (False, held.id)
    core.clock.advance(LEASE_SECONDS)
    await core.leases.expire()
    (seen,) = (await core.fleet.overview()).runners
    assert (seen.online, seen.job) == (False, None)
    assert seen.last_seen is not None


async def test_a_runner_that_fails_at_everything_is_cordoned_and_says_why(core: Core, person: Person) -> None:
    runner = await core.runner()
    await core.register(runner)
    for _ in range(MAX_FAILURES_IN_ROW):
        assert not (await core.fleet.overview()).runners[0].cordoned
        await fail_one(core, person, runner.id, "out-of-memory")
    (info,) = (await core.fleet.overview()).runners
    assert info.cordoned
    assert (
        info.cordon_reason == f"{MAX_FAILURES_IN_ROW} jobs in a row failed here, the last with out-of-memory"
    )
    assert (await core.fleet.cordon(runner.id, cordoned=False)).cordon_reason is None
    await fail_one(core, person, runner.id, "out-of-memory")
    assert not (await core.fleet.overview()).runners[0].cordoned


async def test_a_success_in_between_a_bad_recording_and_a_second_try_do_not_count(
    core: Core, person: Person
) -> None:
    runner = await core.runner()
    holder = await core.register(runner)
    for _ in range(MAX_FAILURES_IN_ROW):
        await fail_one(core, person, runner.id, "no-audio")
    for _ in range(MAX_FAILURES_IN_ROW - 1):
        await fail_one(core, person, runner.id, "runner-error")
    await core.submit(person)
    held = await core.claim(holder)
    await core.dispatcher.finish(await known(core, runner.id), held.id, Result(held.lease, next=0))
    await core.submit(person)
    for _ in range(MAX_ATTEMPTS):
        await fail_held(core, runner.id, await core.claim(holder), "runner-error", retryable=True)
    assert (await known(core, runner.id)).failures_in_row == 1
    assert not (await core.fleet.overview()).runners[0].cordoned


async def known(core: Core, runner_id: str) -> RunnerIdentity:
    row = await core.database.row("SELECT id, name, failures_in_row FROM runners WHERE id = $1", runner_id)
    assert row is not None
    return RunnerIdentity(**row)


async def fail_one(core: Core, person: Person, runner_id: str, code: str) -> None:
    await core.submit(person)
    session = await session_of(core, runner_id)
    await fail_held(core, runner_id, await core.claim(Holder(runner_id, session, "gpu", "1", OFFERS)), code)


async def fail_held(
    core: Core, runner_id: str, held: Assignment, code: str, *, retryable: bool = False
) -> None:
    error = ResultError(code, "It broke", retryable=retryable)
    await core.dispatcher.finish(await known(core, runner_id), held.id, Result(held.lease, error=error))


def test_another_servers_word_on_a_runner_counts_whatever_its_clock_says() -> None:
    presence = Presence(HEARTBEAT_SECONDS)
    for clock in (-1e6, 1e6):
        runner = str(clock)
        presence.is_online(runner, "session", clock, 1000.0)
        assert presence.is_online(runner, "session", clock + 5, 1005.0)
        assert presence.is_online(runner, "session", clock + 5, 1040.0)
        assert not presence.is_online(runner, "session", clock + 5, 1060.0)
        assert not presence.is_online(runner, None, clock + 10, 1060.0)


def test_a_runner_that_was_last_seen_before_the_start_is_not_online() -> None:
    presence = Presence(HEARTBEAT_SECONDS)
    assert presence.is_online("lately", "session", 990.0, 1000.0)
    assert not presence.is_online("long ago", "session", 100.0, 1000.0)


async def test_a_server_does_not_take_its_own_word_for_another_s(core: Core) -> None:
    await core.register(await core.runner())
    core.clock.advance(1)
    (runner,) = (await core.fleet.overview()).runners
    core.presence.note(runner.id, await session_of(core, runner.id), core.clock.now())
    await core.fleet.write_presence()
    core.clock.advance(HEARTBEAT_SECONDS * 2.5 + 0.1)
    assert not (await core.fleet.overview()).runners[0].online


async def session_of(core: Core, runner_id: str) -> str:
    row = await core.database.row("SELECT session FROM runners WHERE id = $1", runner_id)
    assert row is not None
    return str(row["session"])
