"""What a runner may do under its lease, and what happens when it does not come back."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from projectw_server.accounts.principals import Person
from projectw_server.db import Database
from projectw_server.jobs import leases
from projectw_server.jobs.claiming import Holder, NotFree
from projectw_server.jobs.quotas import SECONDS_A_BYTE, SMALLEST_SECONDS
from projectw_server.settings import ServerSettings
from projectw_shared.errors import Gap, LeaseLost, TooLarge
from projectw_shared.messages import Assignment, Result
from projectw_shared.transcripts import PROMPT_SEGMENTS

from ..core import HEARTBEAT_SECONDS, LEASE_SECONDS, MAX_ATTEMPTS, Core, appending, beat, segments


@pytest.fixture
async def held(core: Core, person: Person, holder: Holder) -> Assignment:
    """A job that ``holder`` has just been given."""
    await core.submit(person)
    return await core.claim(holder)


async def texts(core: Core, person: Person, job_id: str) -> list[int]:
    return [segment.id for segment in (await core.transcripts.since(person.id, job_id, 0)).segments]


# --- claiming


async def test_a_claim_tells_all_that_the_work_needs(core: Core, person: Person, holder: Holder) -> None:
    job = await core.submit(person, size=77, name="a b.wav")
    held = await core.claim(holder)
    assert (held.id, held.lease, held.file_name, held.bytes) == (job.id, 1, "a b.wav", 77)
    assert (held.first, held.resume_at, held.segments, held.language, held.duration) == (
        0,
        0.0,
        [],
        None,
        None,
    )
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts, seen.started_at) == ("assigned", 1, None)
    assert seen.runner is not None
    assert (seen.runner.id, seen.runner.name, seen.runner.version) == (holder.runner_id, "gpu", "1.0")


async def test_an_empty_queue_gives_nothing(core: Core, holder: Holder) -> None:
    assert await core.leases.claim(holder) is None


async def test_a_session_that_is_over_can_claim_nothing(core: Core, person: Person) -> None:
    runner = await core.runner()
    former = await core.register(runner)
    await core.register(runner)
    job = await core.submit(person)
    with pytest.raises(NotFree):
        await core.leases.claim(former)
    assert (await core.jobs.get(person, job.id)).attempts == 0


async def test_a_runner_that_holds_a_job_can_claim_no_second_one(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.submit(person)
    with pytest.raises(NotFree):
        await core.leases.claim(holder)


async def test_what_a_runner_holds_is_told_again_under_the_same_lease(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.submit(person)
    assert await core.leases.held_by(holder) == held
    await core.finish(holder, held)
    assert await core.leases.held_by(holder) is None


async def test_fifty_tasks_claim_forty_jobs_each_once(core: Core, person: Person) -> None:
    jobs = {(await core.submit(person)).id for _ in range(40)}
    holders = [await core.holder(f"gpu-{n}") for n in range(50)]
    claimed = await asyncio.gather(*(core.leases.claim(holder) for holder in holders))
    found = [assignment.id for assignment in claimed if assignment]
    assert sorted(found) == sorted(jobs)


CLAIMER = """
import asyncio, json, sys
from tests.server.core import Core
from projectw_server.db import open_database

async def main(url):
    async with open_database(url) as database:
        core = Core(database)
        holder = await core.holder()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        claimed = []
        while assignment := await core.leases.claim(holder):
            claimed.append(assignment.id)
            await core.finish(holder, assignment)
        print(json.dumps(claimed), flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_two_processes_over_one_file_claim_every_job_once(
    core: Core, person: Person, settings: ServerSettings
) -> None:
    jobs = [(await core.submit(person)).id for _ in range(60)]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLAIMER, settings.database,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", (await process.communicate())[1].decode()
    ended = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    claimed = []
    for process, (out, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors.decode()
        claimed += json.loads(out)
    assert Counter(claimed) == Counter(jobs)
    states = await core.database.rows("SELECT state, attempts, lease FROM jobs")
    assert {tuple(row.values()) for row in states} == {("succeeded", 1, 1)}


# --- beating


async def test_the_first_heartbeat_that_names_the_job_sets_it_running(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    assert await core.leases.beat(holder, beat(held)) is False
    job = await core.jobs.get(person, held.id)
    assert job.state == "running"
    assert job.started_at is not None


async def test_what_a_heartbeat_tells_is_kept(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, beat(held, 0.25, duration=40.0, language="de"))
    job = await core.jobs.get(person, held.id)
    assert (job.progress, job.duration, job.language) == (0.25, 40.0, "de")
    await core.leases.beat(holder, beat(held, 0.5))
    assert (await core.jobs.get(person, held.id)).duration == 40.0


async def test_segments_are_appended_each_once(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 3))
    await core.leases.beat(holder, appending(held, 0, 3))
    await core.leases.beat(holder, appending(held, 1, 4))
    assert await texts(core, person, held.id) == [0, 1, 2, 3, 4]


async def test_a_gap_is_refused_with_the_number_that_is_wanted(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    with pytest.raises(Gap) as gap:
        await core.leases.beat(holder, appending(held, 3, 1, resume_at=40.0))
    assert gap.value.next == 2
    assert (await core.row(held.id))["resume_at"] == 20.0
    assert await texts(core, person, held.id) == [0, 1]


async def test_silence_after_a_gap_does_not_move_the_place_to_go_on_from(
    core: Core, holder: Holder, held: Assignment
) -> None:
    """Else the text of the heartbeat that did not arrive would be skipped by the next runner."""
    with pytest.raises(Gap):
        await core.leases.beat(holder, beat(held, first=2, segments=[], resume_at=60.0))
    assert (await core.row(held.id))["resume_at"] == 0.0


async def test_the_place_to_go_on_from_is_kept_in_silence_too(
    core: Core, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=30.0))
    await core.leases.beat(holder, beat(held, first=2, segments=[], resume_at=60.0))
    await core.leases.beat(holder, beat(held, resume_at=90.0))
    assert (await core.row(held.id))["resume_at"] == 90.0


async def test_an_older_heartbeat_that_arrives_late_takes_nothing_back(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    await core.leases.beat(holder, appending(held, 2, 2, resume_at=40.0))
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    assert (await core.row(held.id))["resume_at"] == 40.0
    assert await texts(core, person, held.id) == [0, 1, 2, 3]


async def test_the_next_runner_goes_on_where_the_last_one_was(
    core: Core, holder: Holder, held: Assignment
) -> None:
    count = PROMPT_SEGMENTS + 6
    await core.leases.beat(holder, beat(held, duration=99.0, language="fr"))
    await core.leases.beat(holder, appending(held, 0, count, resume_at=12.5))
    await core.leases.hand_back(held.id, held.lease)
    again = await core.claim(await core.holder("other"))
    assert (again.id, again.lease) == (held.id, held.lease + 1)
    assert (again.first, again.resume_at, again.duration, again.language) == (count, 12.5, 99.0, "fr")
    assert again.segments == segments(6, PROMPT_SEGMENTS)


async def test_the_place_and_the_segments_are_stored_together_or_not_at_all(
    core: Core, person: Person, holder: Holder, held: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(core.moves, "move", breaks)
    with pytest.raises(ConnectionError):
        await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    assert await texts(core, person, held.id) == []
    assert (await core.row(held.id))["resume_at"] == 0.0


# --- who may


async def test_only_the_session_that_holds_the_lease_may_use_it(
    core: Core, holder: Holder, held: Assignment
) -> None:
    stranger = await core.holder("stranger")
    for who, what in (
        (stranger, beat(held)),
        (Holder(holder.runner_id, stranger.session, "gpu", "1", holder.offers), beat(held)),
        (holder, beat(held).__class__(held.id, held.lease + 1, 0.0)),
        (holder, beat(held).__class__("nothing", held.lease, 0.0)),
    ):
        with pytest.raises(LeaseLost):
            await core.leases.beat(who, what)
        with pytest.raises(LeaseLost):
            await core.leases.is_to_abort(who, what.id, what.lease)
    with pytest.raises(LeaseLost):
        await core.leases.audio_of(stranger.runner_id, held.id, held.lease)
    with pytest.raises(LeaseLost):
        await core.leases.audio_of(holder.runner_id, held.id, held.lease + 1)
    assert (await core.leases.audio_of(holder.runner_id, held.id, held.lease))["id"] == held.id
    with pytest.raises(LeaseLost):
        await core.finish(stranger, held)


async def test_a_late_runner_changes_nothing(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 1, resume_at=10.0))
    await core.leases.hand_back(held.id, held.lease)
    other = await core.holder("other")
    again = await core.claim(other)
    for late in (appending(held, 1, 5, resume_at=60.0), beat(held, 0.9)):
        with pytest.raises(LeaseLost):
            await core.leases.beat(holder, late)
    with pytest.raises(LeaseLost):
        await core.finish(holder, held, 1)
    await core.leases.hand_back(held.id, held.lease)
    await core.leases.beat(other, appending(again, 1, 1, resume_at=20.0))
    assert await texts(core, person, held.id) == [0, 1]
    assert (await core.jobs.get(person, held.id)).state == "running"


# --- the end


async def test_a_result_is_accepted_before_the_first_heartbeat_too(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.finish(
        holder.runner_id, held.id, Result(held.lease, next=0, language="en", duration=3.0)
    )
    job = await core.jobs.get(person, held.id)
    assert (job.state, job.progress, job.language, job.duration) == ("succeeded", 1.0, "en", 3.0)
    assert job.started_at is not None
    assert job.finished_at is not None


async def test_a_result_must_count_all_segments(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2))
    for count in (0, 1, 3):
        with pytest.raises(Gap) as gap:
            await core.finish(holder, held, count)
        assert gap.value.next == 2
    assert (await core.jobs.get(person, held.id)).state == "running"
    await core.finish(holder, held, 2)


async def test_an_error_of_the_recording_fails_the_job_at_once(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.fail(holder, held, "unsupported-media")
    job = await core.jobs.get(person, held.id)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("unsupported-media", "It broke")


async def test_a_passing_error_is_tried_again_until_the_attempts_are_spent(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        seen = await core.jobs.get(person, job.id)
        assert (seen.state, seen.attempts, seen.error, seen.runner) == ("queued", attempt - 1, None, None)
        await core.fail(holder, await core.claim(holder), "out-of-memory", retryable=True)
    seen = await core.jobs.get(person, job.id)
    assert (seen.state, seen.attempts) == ("failed", MAX_ATTEMPTS)
    assert seen.error is not None
    assert seen.error.code == "out-of-memory"


async def retry(core: Core, person: Person, job_id: str) -> None:
    await core.jobs.retry(person, job_id)


async def retry_and_claim(core: Core, person: Person, job_id: str) -> None:
    await core.jobs.retry(person, job_id)
    await core.claim(await core.holder("other"))


async def nothing(core: Core, person: Person, job_id: str) -> None:
    pass


@pytest.mark.parametrize("then", [nothing, retry, retry_and_claim])
async def test_a_result_that_comes_again_is_accepted_and_changes_nothing(
    core: Core,
    person: Person,
    holder: Holder,
    held: Assignment,
    then: Callable[[Core, Person, str], Awaitable[None]],
) -> None:
    await core.fail(holder, held)
    await then(core, person, held.id)
    before = await core.row(held.id)
    await core.fail(holder, held)
    await core.finish(holder, held, 0)
    assert await core.row(held.id) == before


async def test_a_job_handed_back_costs_no_attempt_and_keeps_its_segments(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    await core.leases.hand_back(held.id, held.lease)
    job = await core.jobs.get(person, held.id)
    assert (job.state, job.attempts, job.started_at, job.position) == ("queued", 0, None, 1)
    assert await texts(core, person, held.id) == [0, 1]


# --- the lease runs out


async def test_a_runner_that_is_silent_for_a_lease_loses_its_job(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=20.0))
    core.clock.advance(LEASE_SECONDS - 1)
    assert await core.leases.expire() == 0
    core.clock.advance(2)
    assert await core.leases.expire() == 1
    job = await core.jobs.get(person, held.id)
    assert (job.state, job.attempts) == ("queued", 1)
    with pytest.raises(LeaseLost):
        await core.leases.beat(holder, beat(held))
    assert (await core.claim(holder)).first == 2


async def test_a_job_whose_runners_all_vanish_fails_in_the_end(core: Core, person: Person) -> None:
    job = await core.submit(person)
    for n in range(MAX_ATTEMPTS):
        await core.claim(await core.holder(f"gpu-{n}"))
        core.clock.advance(LEASE_SECONDS + 1)
        assert await core.leases.expire() == 1
    seen = await core.jobs.get(person, job.id)
    assert seen.state == "failed"
    assert seen.error is not None
    assert seen.error.code == "runner-lost"


async def test_heartbeats_keep_a_lease_for_as_long_as_they_come(
    core: Core, holder: Holder, held: Assignment
) -> None:
    for _ in range(40):
        core.clock.advance(HEARTBEAT_SECONDS)
        await core.leases.beat(holder, beat(held))
        assert await core.leases.expire() == 0


@pytest.mark.parametrize("pause", [0.5, 3.0, 14.0, 16.0, 59.0])
async def test_renewals_are_written_at_most_every_quarter_of_a_lease_and_still_suffice(
    core: Core, holder: Holder, held: Assignment, pause: float
) -> None:
    await core.leases.beat(holder, beat(held))
    began, written = core.clock.now(), set()
    for _ in range(200):
        core.clock.advance(pause)
        await core.leases.beat(holder, beat(held))
        expires_at = (await core.row(held.id))["lease_expires_at"]
        assert isinstance(expires_at, float)
        written.add(expires_at)
        # What another process would see still leaves three quarters of a lease.
        assert expires_at - core.clock.now() > LEASE_SECONDS * 3 / 4
        assert await core.leases.expire() == 0
    assert len(written) <= (core.clock.now() - began) / (LEASE_SECONDS / 4) + 1


async def test_a_renewal_that_only_memory_knows_is_honoured(
    core: Core, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, beat(held))
    core.clock.advance(LEASE_SECONDS / 5)
    await core.leases.beat(holder, beat(held))
    core.clock.advance(LEASE_SECONDS - 1)
    assert await core.leases.expire() == 0
    core.clock.advance(2)
    assert await core.leases.expire() == 1


async def test_a_restart_gives_every_held_job_a_full_lease(
    core: Core, person: Person, holder: Holder, held: Assignment, database: Database
) -> None:
    core.clock.advance(LEASE_SECONDS * 10)
    restarted = Core(database, core.clock)
    assert await restarted.leases.expire() == 0
    core.clock.advance(LEASE_SECONDS - 1)
    assert await restarted.leases.expire() == 0
    assert await restarted.leases.beat(holder, beat(held)) is False
    core.clock.advance(LEASE_SECONDS + 1)
    assert await restarted.leases.expire() == 1


async def test_memory_of_renewals_ends_with_the_leases(core: Core, person: Person) -> None:
    for n in range(10):
        holder = await core.holder(f"gpu-{n}")
        job = await core.submit(person)
        held = await core.claim(holder)
        await core.leases.beat(holder, beat(held, 0.1))
        await (core.jobs.delete(person, job.id) if n % 2 else core.leases.hand_back(job.id, held.lease))
        core.clock.advance(1)
    core.clock.advance(LEASE_SECONDS * 2)
    for _ in range(2):
        await core.leases.expire()
    assert core.leases._renewals._known == {}
    assert core.leases._watch._seen == {}


async def test_a_lease_that_ends_during_its_renewal_is_lost(
    core: Core, holder: Holder, held: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.leases.beat(holder, beat(held))
    core.clock.advance(LEASE_SECONDS / 2)
    write = core.leases._write_renewal

    async def too_late(*arguments: object) -> bool:
        await core.leases.hand_back(held.id, held.lease)
        return await write(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(core.leases, "_write_renewal", too_late)
    with pytest.raises(LeaseLost):
        await core.leases.beat(holder, beat(held, 0.5))


# --- cancelling


async def by_success(core: Core, holder: Holder, held: Assignment) -> None:
    await core.finish(holder, held)


async def by_error(core: Core, holder: Holder, held: Assignment) -> None:
    await core.fail(holder, held, "cancelled")


async def by_passing_error(core: Core, holder: Holder, held: Assignment) -> None:
    await core.fail(holder, held, retryable=True)


async def by_handing_back(core: Core, holder: Holder, held: Assignment) -> None:
    await core.leases.hand_back(held.id, held.lease)


async def by_silence(core: Core, holder: Holder, held: Assignment) -> None:
    core.clock.advance(LEASE_SECONDS + 1)
    assert await core.leases.expire() == 1


@pytest.mark.parametrize("let_go", [by_success, by_error, by_passing_error, by_handing_back, by_silence])
@pytest.mark.parametrize("running", [False, True])
async def test_a_job_that_is_to_be_cancelled_ends_cancelled_however_its_runner_lets_go(
    core: Core,
    person: Person,
    holder: Holder,
    held: Assignment,
    let_go: Callable[[Core, Holder, Assignment], Awaitable[None]],
    running: bool,
) -> None:
    if running:
        await core.leases.beat(holder, beat(held))
    job = await core.jobs.cancel(person, held.id)
    assert (job.state, job.cancel_requested) == ("running" if running else "assigned", True)
    await let_go(core, holder, held)
    job = await core.jobs.get(person, held.id)
    assert (job.state, job.cancel_requested, job.error, job.position) == ("cancelled", True, None, None)
    assert job.finished_at is not None


async def test_a_heartbeat_hears_of_the_abort(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, beat(held))
    await core.jobs.cancel(person, held.id)
    assert await core.leases.beat(holder, beat(held)) is True
    assert await core.leases.is_to_abort(holder, held.id, held.lease) is True


async def test_after_its_own_result_a_runner_is_not_told_that_its_lease_was_lost(
    core: Core, holder: Holder, held: Assignment
) -> None:
    await core.finish(holder, held)
    assert await core.leases.is_to_abort(holder, held.id, held.lease) is False


async def test_a_job_deleted_while_held_takes_its_lease_with_it(
    core: Core, person: Person, holder: Holder, held: Assignment
) -> None:
    await core.leases.beat(holder, appending(held, 0, 2))
    await core.jobs.delete(person, held.id)
    with pytest.raises(LeaseLost):
        await core.leases.beat(holder, beat(held))
    with pytest.raises(LeaseLost):
        await core.finish(holder, held, 2)
    assert await core.database.rows("SELECT * FROM segments") == []
    assert await core.leases.held_by(holder) is None


@pytest.mark.parametrize(
    ("duration", "charged"), [(30.0, 30.0), (1e8, SMALLEST_SECONDS + 1000 * SECONDS_A_BYTE)]
)
async def test_a_runner_says_how_long_a_recording_is_as_far_as_it_can_be(
    core: Core, person: Person, holder: Holder, held: Assignment, duration: float, charged: float
) -> None:
    await core.leases.beat(holder, beat(held, duration=duration))
    (row,) = await core.database.rows("SELECT audio_seconds FROM usage WHERE owner_id = $1", person.id)
    assert row["audio_seconds"] == charged


async def test_a_transcript_has_an_end_whoever_brings_it(
    core: Core, person: Person, holder: Holder, held: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(len(msgspec.json.encode(segments(*part))) for part in ((0, 2), (2, 2)))
    monkeypatch.setattr(leases, "MAX_TRANSCRIPT_BYTES", size)
    await core.leases.beat(holder, appending(held, 0, 2))
    for _ in range(3):
        await core.leases.beat(holder, appending(held, 0, 2))  # what is there already costs nothing
    await core.leases.beat(holder, appending(held, 2, 2))
    with pytest.raises(TooLarge):
        await core.leases.beat(holder, appending(held, 4, 2))
    assert await texts(core, person, held.id) == [0, 1, 2, 3]
    await core.leases.beat(holder, beat(held))
    await core.finish(holder, held, 4)
    assert not core.leases._brought
