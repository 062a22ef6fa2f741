from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from projectw_runner.engines import Task
from projectw_runner.engines.fake import FakeEngine
from projectw_runner.engines.faults import FakeFault, Mischief
from projectw_runner.engines.registry import ENGINES, create
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import MODELS, JobSettings

SPOKEN = np.zeros(16_000 * 12, np.float32)


def test_it_says_what_it_is() -> None:
    engine = create("fake")
    assert engine.name == "fake"
    assert engine.models() == list(MODELS)


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="the engines are whisper, faster-whisper, fake"):
        create("parakeet")
    assert set(ENGINES) == {"whisper", "faster-whisper", "fake"}


def test_the_same_recording_gives_the_same_segments_to_its_end(held: Callable[..., Any]) -> None:
    first, second = (list(FakeEngine().transcribe(held(SPOKEN), Task())) for _ in range(2))
    assert first == second
    assert [(step.segments[0].id, step.segments[0].start, step.resume_at) for step in first] == [
        (0, 0.0, 5.0),
        (1, 5.0, 10.0),
        (2, 10.0, 12.0),
    ]
    assert "not spoken" in first[0].segments[0].text


def test_it_goes_on_where_another_has_stopped(held: Callable[..., Any]) -> None:
    whole = list(FakeEngine().transcribe(held(SPOKEN), Task()))
    rest = list(FakeEngine().transcribe(held(SPOKEN), Task(first=1, resume_at=5.0)))
    assert whole[1:] == rest


def test_words_fill_their_segment(held: Callable[..., Any]) -> None:
    (step, *_) = FakeEngine().transcribe(held(SPOKEN), Task(JobSettings(word_timestamps=True)))
    (segment,) = step.segments
    assert segment.words is not None
    assert "".join(word.word for word in segment.words) == segment.text
    assert (segment.words[0].start, segment.words[-1].end) == (segment.start, segment.end)


def test_a_speed_is_kept(held: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("threading.Event.wait", lambda self, seconds: waited.append(seconds))
    list(FakeEngine(speed=10).transcribe(held(SPOKEN), Task()))
    assert waited == [0.5, 0.5, 0.2]


@pytest.mark.parametrize(("at", "segments"), [("start", 0), ("between", 1), ("end", 3)])
def test_an_error_on_purpose_ends_the_job_at_its_point_with_its_code(
    held: Callable[..., Any], at: Any, segments: int
) -> None:
    fault = FakeFault("error", at=at, code="out-of-memory", retryable=True)
    steps = create("fake", faults=[fault]).transcribe(held(SPOKEN), Task())
    for _ in range(segments):
        next(steps)
    with pytest.raises(JobFailure) as failure:
        next(steps)
    assert (failure.value.code, failure.value.retryable) == ("out-of-memory", True)


def test_a_fault_can_be_kept_to_the_jobs_whose_prompt_asks_for_it(held: Callable[..., Any]) -> None:
    engine = create("fake", faults=[FakeFault("error", at="start", when_prompt="poison")])
    assert len(list(engine.transcribe(held(SPOKEN), Task()))) == 3
    with pytest.raises(JobFailure):
        list(engine.transcribe(held(SPOKEN), Task(JobSettings(initial_prompt="a poison job"))))


def test_the_same_seed_lets_the_same_faults_happen() -> None:
    def happened(seed: int | None) -> list[bool]:
        mischief = Mischief([FakeFault("error", chance=0.5)], seed)
        return [raises(mischief) for _ in range(64)]

    assert happened(7) == happened(7)
    assert happened(7) != happened(8)
    assert 8 < sum(happened(7)) < 56


def raises(mischief: Mischief) -> bool:
    try:
        mischief.meet("between", Task())
    except JobFailure:
        return True
    return False


def test_a_pause_on_purpose_lasts_as_long_as_is_set(
    held: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("threading.Event.wait", lambda self, seconds: waited.append(seconds))
    engine = create("fake", faults=[FakeFault("pause", seconds=3.5)])
    list(engine.transcribe(held(SPOKEN), Task()))
    assert waited == [3.5, 3.5]
