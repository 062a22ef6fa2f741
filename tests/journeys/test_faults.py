"""What goes wrong in mid-job, and what comes of it: no work lost, nothing twice, one result."""

import signal
from functools import partial
from pathlib import Path

import pytest

from projectw_shared.jobs import JobState
from tests.journeys.world import LEASE_SECONDS, SLOW, World, assert_whole, pause

pytestmark = pytest.mark.journey


def test_another_runner_finishes_from_the_checkpoint_what_a_killed_one_began(
    world: World, minute: Path
) -> None:
    first = world.start_runner("first", fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 3)
    first.kill()
    kept = world.segments(job.id).segments

    second = world.start_runner("second")
    done = world.until_over(job.id)

    assert done.state is JobState.SUCCEEDED
    assert done.runner is not None
    assert done.runner.name == "second"
    assert done.attempts == 2
    transcript = world.segments(job.id)
    assert_whole(transcript, 60)
    assert transcript.segments[: len(kept)] == kept
    # It went on, and did not begin anew.
    assert second.wait_for(r"job begins.*resume_at=(\S+)")[1] != "0.0"


def test_a_runner_goes_on_under_its_lease_when_the_server_is_killed_and_comes_back(
    world: World, minute: Path
) -> None:
    runner = world.start_runner(fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 3)

    world.restart_server()

    done = world.until_over(job.id)
    assert done.state is JobState.SUCCEEDED
    assert done.attempts == 1
    assert_whole(world.segments(job.id), 60)
    assert runner.output().count("job begins") == 1


def test_a_job_whose_runner_vanished_with_the_server_is_queued_again_with_its_segments(
    world: World, minute: Path
) -> None:
    runner = world.start_runner(fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 3)

    world.server.kill()
    runner.kill()
    world.restart_server()

    waiting = world.until_state(job.id, JobState.QUEUED)
    kept = world.segments(job.id)
    assert kept.next >= 3
    assert not kept.complete
    assert waiting.position == 1
    world.start_runner("second")
    assert world.until_over(job.id).state is JobState.SUCCEEDED
    assert_whole(world.segments(job.id), 60)
    assert world.segments(job.id).segments[: kept.next] == kept.segments


def test_a_runner_that_sleeps_beyond_its_lease_changes_nothing_when_it_wakes(
    world: World, minute: Path
) -> None:
    late = world.start_runner("first", fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 2)
    late.send(signal.SIGSTOP)

    world.start_runner("second")
    done = world.until_over(job.id)
    transcript = world.segments(job.id)
    late.send(signal.SIGCONT)

    late.wait_for("because=(lost|expelled)")
    assert done.runner is not None
    assert done.runner.name == "second"
    assert_whole(transcript, 60)
    assert world.job(job.id) == done
    assert world.segments(job.id) == transcript
    # It is of use again: the next job finds it or the other one.
    assert world.until_over(world.submit(minute).id).state is JobState.SUCCEEDED


def test_a_stopped_runner_hands_its_job_back_and_costs_it_no_attempt(world: World, minute: Path) -> None:
    runner = world.start_runner(fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 2)

    runner.send(signal.SIGTERM)

    assert runner.wait(timeout=15) == 0
    waiting = world.job(job.id)
    assert waiting.state is JobState.QUEUED
    assert waiting.attempts == 0
    assert world.segments(job.id).next >= 2
    assert not world.runner("first").online
    world.start_runner("second")
    assert world.until_over(job.id).attempts == 1
    assert_whole(world.segments(job.id), 60)


def test_a_job_whose_runners_all_vanish_has_failed_after_three_attempts(world: World, minute: Path) -> None:
    job = world.submit(minute)
    for attempt in (1, 2, 3):
        runner = world.start_runner(fake_speed=SLOW)
        world.until(partial(has_attempts, world, job.id, attempt), f"attempt {attempt} has begun")
        runner.kill()
        world.until(lambda: not world.job(job.id).state.is_held, "the lease has run out")
    failed = world.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.code == "runner-lost"


def has_attempts(world: World, job_id: str, attempts: int) -> bool:
    return world.job(job_id).attempts == attempts


def test_a_working_runner_keeps_its_job_beyond_the_length_of_a_lease(world: World, minute: Path) -> None:
    runner = world.start_runner(fake_speed=60 / (2.5 * LEASE_SECONDS))
    job = world.submit(minute)
    world.until_segments(job.id, 1)
    pause(LEASE_SECONDS * 1.2)
    done = world.until_over(job.id)
    assert done.state is JobState.SUCCEEDED
    assert done.attempts == 1
    assert runner.output().count("job begins") == 1
