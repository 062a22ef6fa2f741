"""What people do to jobs and runners while they work."""

from pathlib import Path

import pytest

from projectw_shared.jobs import JobState
from tests.journeys.world import SLOW, Refused, World, assert_whole, write_sound

pytestmark = pytest.mark.journey


def test_a_running_job_that_is_cancelled_stops_and_its_runner_takes_the_next(
    world: World, minute: Path
) -> None:
    runner = world.start_runner(fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 2)

    asked = world.cancel(job.id)
    assert asked.cancel_requested

    cancelled = world.until_over(job.id)
    assert cancelled.state is JobState.CANCELLED
    kept = world.segments(job.id)
    assert 2 <= kept.next < 12
    assert not kept.complete
    following = world.submit(write_sound(minute.with_name("short.wav"), 10))
    assert world.until_over(following.id).state is JobState.SUCCEEDED
    assert runner.returncode is None


def test_a_running_job_that_is_deleted_is_gone_and_its_runner_takes_the_next(
    world: World, minute: Path
) -> None:
    world.start_runner(fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 2)

    world.delete(job.id)

    with pytest.raises(Refused) as gone:
        world.job(job.id)
    assert gone.value.status == 404
    following = world.submit(write_sound(minute.with_name("short.wav"), 10))
    assert world.until_over(following.id).state is JobState.SUCCEEDED
    recordings = [path for path in world.installation.folder.glob("data/recordings/blobs/*/*")]
    assert [path.name for path in recordings] == [following.id]
    assert not list(world.installation.folder.glob("first/jobs/*/recording"))


def test_a_drained_runner_finishes_what_it_holds_and_leaves_with_code_0(world: World, minute: Path) -> None:
    runner = world.start_runner(fake_speed=SLOW)
    job, waiting = world.submit(minute), world.submit(minute)
    world.until_segments(job.id, 2)

    world.drain("first")

    assert runner.wait(timeout=30) == 0
    assert world.job(job.id).state is JobState.SUCCEEDED
    assert_whole(world.segments(job.id), 60)
    assert world.job(waiting.id).state is JobState.QUEUED
    assert not world.runner("first").draining


def test_an_idle_runner_that_is_drained_leaves_with_code_0(world: World) -> None:
    runner = world.start_runner()
    world.drain("first")
    assert runner.wait(timeout=15) == 0


def test_a_second_runner_with_the_same_token_takes_over(world: World, minute: Path) -> None:
    first = world.start_runner("first", fake_speed=SLOW)
    job = world.submit(minute)
    world.until_segments(job.id, 2)
    second = world.start_runner("first")
    assert first.wait(timeout=15) == 77
    assert "token of its own" in first.output()
    assert world.until_over(job.id).state is JobState.SUCCEEDED
    assert_whole(world.segments(job.id), 60)
    assert second.returncode is None


def test_text_that_calls_itself_a_recording_is_refused_at_the_door(world: World, tmp_path: Path) -> None:
    text = tmp_path / "x.wav"
    text.write_text("Dear diary, today I recorded nothing at all. " * 20)
    with pytest.raises(Refused) as refused:
        world.submit(text)
    assert refused.value.status == 415
    assert refused.value.problem["code"] == "unsupported-media"
    assert "audio" in refused.value.problem["detail"]
    assert not list(world.installation.folder.glob("data/recordings/*/*/*"))


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF\xff\xff\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(20) + b"\xff" * 500,
        b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb" + b"\x00" * 40,
    ],
    ids=["broken wav", "empty mp3"],
)
def test_a_broken_recording_fails_with_a_sentence_and_the_runner_goes_on(
    world: World, tmp_path: Path, minute: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(content)
    runner = world.start_runner()
    failed = world.until_over(world.submit(broken).id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.code == "unsupported-media"
    assert failed.error.message.endswith(".")
    assert "Traceback" not in failed.error.message
    assert world.until_over(world.submit(minute).id).state is JobState.SUCCEEDED
    assert runner.returncode is None


@pytest.mark.model
def test_a_job_whose_checkpoint_no_runner_has_waits_and_says_so(
    world: World, tmp_path: Path, minute: Path
) -> None:
    world.start_runner(engine="whisper", device="cpu", models_dir=str(tmp_path / "no-models"))
    job = world.submit(minute, model="large-v2")

    def says_so() -> bool:
        waiting = world.job(job.id).waiting
        return waiting is not None and waiting.message == "no runner offers large-v2"

    world.server.until(says_so, "say that no runner offers large-v2")
    assert world.job(job.id).state is JobState.QUEUED


@pytest.mark.model
def test_a_job_that_leaves_the_choice_fails_at_a_runner_without_any_checkpoint(
    world: World, tmp_path: Path, minute: Path
) -> None:
    world.start_runner(engine="whisper", device="cpu", models_dir=str(tmp_path / "no-models"))
    failed = world.until_over(world.submit(minute).id)
    assert failed.error is not None
    assert failed.error.code == "model-missing"
