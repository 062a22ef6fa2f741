from projectw_server.accounts.principals import Person
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.progress import Progress

from ..core import Core, appending, beat


def test_progress_is_what_was_told_last_and_never_goes_back() -> None:
    progress = Progress()
    assert progress.of("a") is None
    assert progress.note("a", 1, 0.2, 0.0)
    assert progress.note("a", 1, 0.5, 1.0)
    assert not progress.note("a", 1, 0.4, 2.0)
    assert not progress.note("a", 1, 0.5, 3.0)
    assert progress.of("a") == 0.5


def test_a_new_lease_begins_anew() -> None:
    progress = Progress()
    progress.note("a", 1, 0.9, 0.0)
    assert progress.note("a", 2, 0.3, 1.0)
    assert progress.of("a") == 0.3


def test_the_time_left_comes_from_the_speed_of_this_attempt() -> None:
    progress = Progress()
    assert progress.eta("a") is None
    progress.note("a", 1, 0.5, 100.0)
    assert progress.eta("a") is None
    progress.note("a", 1, 0.6, 110.0)
    assert progress.eta("a") == 40.0
    progress.note("a", 1, 1.0, 150.0)
    assert progress.eta("a") == 0.0


def test_too_short_a_time_and_no_progress_say_nothing() -> None:
    progress = Progress()
    progress.note("a", 1, 0.0, 0.0)
    progress.note("a", 1, 0.5, 0.1)
    assert progress.eta("a") is None
    progress.note("b", 1, 0.5, 0.0)
    progress.note("b", 1, 0.5, 60.0)
    assert progress.eta("b") is None


def test_what_is_over_is_forgotten() -> None:
    progress = Progress()
    progress.note("a", 1, 0.5, 0.0)
    progress.forget("a")
    progress.forget("a")
    assert progress.of("a") is None


async def test_a_job_shows_progress_and_time_left_while_it_runs(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held, 0.0, duration=100.0))
    core.clock.advance(10)
    await core.leases.beat(holder, beat(held, 0.25))
    seen = await core.jobs.get(person, job.id)
    assert (seen.progress, seen.eta) == (0.25, 30.0)


async def test_what_is_stored_is_the_progress_of_a_job_that_waits_again(
    core: Core, person: Person, holder: Holder
) -> None:
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.leases.beat(holder, beat(held, 0.5, duration=100.0))
    await core.leases.beat(holder, appending(held, 0, 2, resume_at=40.0))
    await core.leases.hand_back(job.id, held.lease)
    seen = await core.jobs.get(person, job.id)
    assert (seen.progress, seen.eta) == (0.4, None)
    assert core.progress.of(job.id) is None
