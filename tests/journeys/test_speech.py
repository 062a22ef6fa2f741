"""Real speech through all three programs, with the smallest real model."""

import json
from itertools import pairwise

import pytest

from deploy.recordings import Clip, joined, word_error_rate
from projectw_shared.jobs import JobState
from tests.journeys.world import EMAIL, PASSWORD, World

pytestmark = [pytest.mark.journey, pytest.mark.model]

MAX_WORD_ERROR_RATE = 0.1


def test_a_recording_submitted_from_the_command_line_comes_back_as_its_words(
    world: World, speech: Clip, tiny_en: str
) -> None:
    world.start_runner(engine="whisper", device="cpu")
    client = world.installation.client
    assert client("login", EMAIL, "--password-stdin", stdin=PASSWORD).returncode == 0

    done = client("submit", speech.path, "--wait", "--format", "txt", "--model", tiny_en, timeout=110)

    assert done.returncode == 0, done.stderr
    assert word_error_rate(speech.text, done.stdout) <= MAX_WORD_ERROR_RATE, done.stdout
    (job,) = json.loads(client("jobs", "--json").stdout)
    assert job["state"] == "succeeded"
    assert job["language"] == "en"
    assert job["duration"] == pytest.approx(24.73, abs=0.1)
    again = client("transcript", job["id"], "--format", "txt")
    assert again.stdout == done.stdout
    captions = client("transcript", job["id"], "--format", "srt").stdout
    assert captions.startswith("1\n00:00:0")
    assert " --> " in captions


def test_real_speech_that_was_begun_by_a_killed_runner_is_finished_by_another(
    world: World, speech: Clip, tiny_en: str
) -> None:
    # Four times the clip: several windows, so that there is something to go on from.
    recording = joined([speech] * 4, world.installation.folder / "long.wav")
    first = world.start_runner("first", engine="whisper", device="cpu", threads=1)
    job = world.submit(recording.path, model=tiny_en)
    world.until(lambda: world.segments(job.id).next > 0, "the first segments are stored", timeout=90)
    first.kill()
    kept = world.segments(job.id).segments

    world.start_runner("second", engine="whisper", device="cpu")
    done = world.until_over(job.id, timeout=90)

    assert done.state is JobState.SUCCEEDED, done
    transcript = world.segments(job.id).segments
    assert transcript[: len(kept)] == kept
    assert [each.id for each in transcript] == list(range(len(transcript)))
    assert all(a.end <= b.start + 0.01 for a, b in pairwise(transcript))
    text = " ".join(each.text for each in transcript)
    assert word_error_rate(recording.text, text) <= MAX_WORD_ERROR_RATE, text
