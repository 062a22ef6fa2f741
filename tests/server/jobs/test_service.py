import base64

import pytest

from projectw_server.accounts.principals import Person
from projectw_server.jobs import service
from projectw_server.jobs.claiming import Holder
from projectw_shared.errors import Forbidden, IllegalMove, Invalid, KeyReused, NotFinished, NotFound
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import JobList

from ..core import Core, appending, beat


async def page(core: Core, person: Person, **wish: object) -> JobList:
    asked = {"states": [], "text": None, "limit": 50, "cursor": None} | wish
    return await core.jobs.page(person, **asked)  # type: ignore[arg-type]  # by keyword


async def names(core: Core, person: Person, text: str) -> list[str]:
    return sorted(job.file_name for job in (await page(core, person, text=text)).jobs)


async def test_a_new_job_waits_with_what_it_was_submitted_with(core: Core, person: Person) -> None:
    job = await core.submit(person, size=1234, name="talk.mp3", priority=-2)
    assert (job.state, job.file_name, job.bytes, job.settings.priority) == ("queued", "talk.mp3", 1234, -2)
    assert (job.progress, job.attempts, job.position, job.cancel_requested) == (0.0, 0, 1, False)
    assert (job.runner, job.error, job.started_at, job.finished_at, job.eta, job.duration) == (None,) * 6
    assert job == await core.jobs.get(person, job.id)


async def test_the_list_is_paged_from_the_newest_on_and_each_job_comes_once(
    core: Core, person: Person
) -> None:
    jobs = [(await core.submit(person)).id for _ in range(7)]
    found, cursor, sizes = [], None, []
    while True:
        part = await page(core, person, limit=3, cursor=cursor)
        found += [job.id for job in part.jobs]
        sizes.append(len(part.jobs))
        await core.submit(person)  # what is new belongs to the first page, which has been read
        if (cursor := part.next_cursor) is None:
            break
    assert found == jobs[::-1]
    assert sizes == [3, 3, 1]


async def test_a_page_that_is_just_full_has_no_next(core: Core, person: Person) -> None:
    for _ in range(3):
        await core.submit(person)
    assert (await page(core, person, limit=3)).next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "é", base64.urlsafe_b64encode(b"1 OR 1=1").decode()])
async def test_a_cursor_that_is_not_ours_is_refused(core: Core, person: Person, cursor: str) -> None:
    with pytest.raises(Invalid):
        await page(core, person, cursor=cursor)


async def test_jobs_are_found_by_state(core: Core, person: Person, holder: Holder) -> None:
    first, second, third = [await core.submit(person) for _ in range(3)]
    await core.claim(holder)
    await core.jobs.cancel(person, third.id)
    held = (JobState.ASSIGNED, JobState.CANCELLED)
    assert [job.id for job in (await page(core, person, states=held)).jobs] == [third.id, first.id]
    assert [job.id for job in (await page(core, person, states=[JobState.QUEUED])).jobs] == [second.id]


async def test_jobs_are_found_by_their_names_and_patterns_mean_nothing(core: Core, person: Person) -> None:
    for name in ("Übung 1.WAV", "100%_sure.mp3", "100 percent sure.mp3", "back\\slash.mp3"):
        await core.submit(person, name=name)
    assert await names(core, person, "Übung") == ["Übung 1.WAV"]
    assert await names(core, person, "BUNG 1.wav") == ["Übung 1.WAV"]
    assert await names(core, person, "%") == ["100%_sure.mp3"]
    assert await names(core, person, "_") == ["100%_sure.mp3"]
    assert await names(core, person, "SURE") == ["100 percent sure.mp3", "100%_sure.mp3"]
    assert await names(core, person, "\\") == ["back\\slash.mp3"]
    assert await names(core, person, "' OR 1=1 --") == []


async def test_what_belongs_to_somebody_else_is_not_there(core: Core, person: Person) -> None:
    job = await core.submit(person)
    other = await core.person()
    for work in (
        core.jobs.get(other, job.id),
        core.jobs.cancel(other, job.id),
        core.jobs.retry(other, job.id),
        core.jobs.delete(other, job.id),
        core.transcripts.since(other.id, job.id, 0),
        core.transcripts.render(other.id, job.id, "txt"),
    ):
        with pytest.raises(NotFound):
            await work
    assert (await page(core, other)).jobs == []
    assert await core.jobs.get(person, job.id) == job


async def test_a_waiting_job_is_cancelled_at_once(core: Core, person: Person, holder: Holder) -> None:
    job = await core.submit(person)
    cancelled = await core.jobs.cancel(person, job.id)
    assert (cancelled.state, cancelled.position) == ("cancelled", None)
    assert cancelled.finished_at is not None
    assert await core.leases.claim(holder) is None
    assert await core.jobs.cancel(person, job.id) == cancelled


async def test_asking_a_running_job_twice_to_stop_changes_nothing_more(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    await core.leases.beat(holder, beat(await core.claim(holder)))
    asked = await core.jobs.cancel(person, job.id)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert await core.jobs.cancel(person, job.id) == asked


async def test_the_jobs_of_a_disabled_account_are_cancelled_and_no_others(
    core: Core, person: Person, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CANCELLED_AT_ONCE", 2)
    running = await core.submit(person)
    await core.leases.beat(holder, beat(await core.claim(holder)))
    waiting = [await core.submit(person) for _ in range(4)]
    other = await core.person()
    kept = await core.submit(other)
    assert await core.jobs.cancel_of_disabled() == 0
    await core.database.rows("UPDATE users SET disabled = TRUE WHERE id = $1", person.id)
    assert await core.jobs.cancel_of_disabled() == 5
    assert [(await core.jobs.get(person, job.id)).state for job in waiting] == ["cancelled"] * 4
    assert (await core.jobs.get(person, running.id)).cancel_requested
    assert (await core.jobs.get(other, kept.id)).state == "queued"
    assert await core.jobs.cancel_of_disabled() == 0


async def test_what_is_over_cannot_be_cancelled_and_what_is_not_cannot_be_retried(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    with pytest.raises(IllegalMove):
        await core.jobs.retry(person, job.id)
    held = await core.claim(holder)
    with pytest.raises(IllegalMove):
        await core.jobs.retry(person, job.id)
    await core.finish(holder, held)
    for work in (core.jobs.cancel(person, job.id), core.jobs.retry(person, job.id)):
        with pytest.raises(IllegalMove):
            await work


async def test_a_retried_job_has_all_attempts_and_its_segments(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, appending(held, 0, 3, resume_at=30.0))
    await core.fail(holder, held, "broken")
    again = await core.jobs.retry(person, job.id)
    assert (again.state, again.attempts, again.error, again.cancel_requested) == ("queued", 0, None, False)
    assert (again.started_at, again.finished_at, again.runner) == (None, None, None)
    held = await core.claim(holder)
    assert (held.first, held.resume_at, held.lease) == (3, 30.0, 2)


async def test_a_cancelled_job_can_be_retried_and_is_not_aborted_again(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    await core.jobs.cancel(person, job.id)
    assert not (await core.jobs.retry(person, job.id)).cancel_requested
    held = await core.claim(holder)
    assert await core.leases.beat(holder, beat(held)) is False
    await core.finish(holder, held)
    assert (await core.jobs.get(person, job.id)).state == "succeeded"


async def test_every_change_raises_the_revision(core: Core, person: Person, holder: Holder) -> None:
    revisions = [(await core.submit(person)).revision]

    async def note(job_id: str) -> None:
        revisions.append((await core.jobs.get(person, job_id)).revision)

    held = await core.claim(holder)
    await note(held.id)
    await core.leases.beat(holder, appending(held, 0, 1))
    await note(held.id)
    await core.jobs.cancel(person, held.id)
    await note(held.id)
    await core.fail(holder, held, "cancelled")
    await note(held.id)
    await core.jobs.retry(person, held.id)
    await note(held.id)
    assert revisions == sorted(set(revisions))


async def test_the_transcript_can_be_read_while_it_grows(core: Core, person: Person, holder: Holder) -> None:
    job = await core.submit(person)
    empty = await core.transcripts.since(person.id, job.id, 5)
    assert (empty.segments, empty.next, empty.complete) == ([], 0, False)
    held = await core.claim(holder)
    await core.leases.beat(holder, appending(held, 0, 4))
    some = await core.transcripts.since(person.id, job.id, 2)
    assert ([each.id for each in some.segments], some.next, some.complete) == ([2, 3], 4, False)
    end = await core.transcripts.since(person.id, job.id, 4)
    assert (end.segments, end.next) == ([], 4)
    with pytest.raises(NotFinished):
        await core.transcripts.render(person.id, job.id, "txt")
    await core.finish(holder, held, 4)
    assert (await core.transcripts.since(person.id, job.id, 0)).complete
    text, name = await core.transcripts.render(person.id, job.id, "txt")
    assert "word 3" in text
    assert name == "talk.wav"


async def test_only_admins_may_raise_a_priority(core: Core, person: Person) -> None:
    with pytest.raises(Forbidden):
        core.jobs.check_settings(person, JobSettings(priority=1))
    core.jobs.check_settings(person, JobSettings(priority=0))
    core.jobs.check_settings(await core.person(is_admin=True), JobSettings(priority=10))


async def test_the_same_idempotency_key_gives_the_same_job(core: Core, person: Person) -> None:
    job = await core.submit(person, key="k")
    assert (await core.submit(person, key="k")).id == job.id
    assert (await core.submit(await core.person(), key="k")).id != job.id
    for name, priority in (("other.wav", 0), ("talk.wav", -1)):
        with pytest.raises(KeyReused):
            await core.submit(person, key="k", name=name, priority=priority)
    assert len((await page(core, person)).jobs) == 1


async def test_a_deleted_job_leaves_nothing_but_the_note_that_it_is_gone(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, appending(held, 0, 3))
    await core.finish(holder, held, 3)
    await core.jobs.delete(person, job.id)
    with pytest.raises(NotFound):
        await core.jobs.get(person, job.id)
    for table in ("jobs", "segments", "deliveries"):
        assert await core.database.rows(f"SELECT * FROM {table}") == []
    assert await core.jobs.known([job.id]) == set()


async def test_counts_are_of_what_is_not_over(core: Core, person: Person, holder: Holder) -> None:
    for _ in range(4):
        await core.submit(person)
    await core.finish(holder, await core.claim(holder))
    await core.leases.beat(holder, beat(await core.claim(holder)))
    assert await core.jobs.counts() == {JobState.QUEUED: 2, JobState.ASSIGNED: 0, JobState.RUNNING: 1}
