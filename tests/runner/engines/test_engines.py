"""What every engine with a model does, with the smallest real weights on real speech."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from projectw_runner.engines import Engine, Step, Task
from projectw_runner.engines.registry import EXTRAS, create
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment, text_of

pytestmark = pytest.mark.model

ENGLISH = JobSettings(model="tiny.en")
Hold = Callable[..., Any]


@pytest.fixture(scope="module", params=["whisper", "faster-whisper"])
def engine(request: pytest.FixtureRequest, tiny_en: Path) -> Iterator[Engine]:
    engine = create(request.param, models_dir=tiny_en.parent, device="cpu", batch_size=1)
    yield engine
    engine.unload()


@dataclass(frozen=True)
class Spoken:
    samples: np.ndarray
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / 16_000


@pytest.fixture(scope="module")
def speech(librivox: list[Any]) -> Spoken:
    """More than one window: the clips one after another with pauses."""
    pause = np.zeros(12_000, np.float32)
    order = [0, 1, 2, 3, 4, 0]
    samples = np.concatenate([part for n in order for part in (librivox[n].samples, pause)])
    return Spoken(samples, " ".join(librivox[n].text for n in order))


@pytest.fixture(scope="module")
def steps(engine: Engine, speech: Spoken, held: Hold) -> list[Step]:
    """The whole of it, done once for many tests."""
    settings = JobSettings(model="tiny.en", word_timestamps=True)
    return list(engine.transcribe(held(speech.samples), Task(settings)))


def finish(steps: Iterator[Step] | list[Step]) -> list[Segment]:
    return [segment for step in steps for segment in step.segments]


def words_of(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower().replace("mr.", "mister")))


def test_the_words_are_those_that_were_spoken(steps: list[Step], speech: Spoken) -> None:
    assert jiwer.wer(words_of(speech.text), words_of(text_of(finish(steps)))) < 0.12


def test_segments_are_numbered_placed_and_measured(steps: list[Step], speech: Spoken) -> None:
    segments = finish(steps)
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(one.start <= two.start for one, two in pairwise(segments))
    for segment in segments:
        assert 0 <= segment.start < segment.end <= speech.seconds
        assert segment.avg_logprob is not None
        assert -2 < segment.avg_logprob <= 0
        assert segment.no_speech_prob is not None
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.compression_ratio is not None
        assert 0 < segment.compression_ratio < 3
        assert segment.temperature is not None
        assert math.isfinite(segment.temperature)


def test_steps_lead_from_place_to_place_to_the_end(steps: list[Step], speech: Spoken) -> None:
    ends = [step.resume_at for step in steps]
    assert len(ends) >= 2
    assert ends == sorted(set(ends))
    assert ends[-1] == pytest.approx(speech.seconds, abs=0.02)
    assert all(step.language == "en" for step in steps)
    for step in steps:
        assert all(segment.end <= step.resume_at + 0.02 for segment in step.segments)


def test_words_lie_inside_their_segments_and_in_order(steps: list[Step]) -> None:
    segments = finish(steps)
    for segment in segments:
        assert segment.words
        assert "".join(word.word for word in segment.words).strip() == segment.text.strip()
        for word in segment.words:
            assert segment.start <= word.start <= word.end <= segment.end
            assert 0 <= word.probability <= 1
    starts = [word.start for segment in segments for word in segment.words or ()]
    assert starts == sorted(starts)


def test_a_resumed_transcript_is_the_one_that_was_not_interrupted(
    engine: Engine, steps: list[Step], speech: Spoken, held: Hold
) -> None:
    stop = max(number for number, step in enumerate(steps) if step.segments)
    done, missing = finish(steps[:stop]), finish(steps[stop:])
    assert done
    task = Task(
        JobSettings(model="tiny.en", word_timestamps=True),
        language="en",
        first=len(done),
        resume_at=steps[stop - 1].resume_at,
        previous=tuple(done[-PROMPT_SEGMENTS:]),
    )
    rest = finish(engine.transcribe(held(speech.samples), task))
    assert [segment.id for segment in rest] == [segment.id for segment in missing]
    assert text_of(rest) == text_of(missing)
    assert rest[0].start >= steps[stop - 1].resume_at


def test_words_are_left_out_unless_they_are_asked_for(
    engine: Engine, librivox: list[Any], held: Hold
) -> None:
    segments = finish(engine.transcribe(held(librivox[1].samples), Task(ENGLISH)))
    assert segments
    assert all(segment.words is None for segment in segments)


def test_the_work_ends_between_two_steps_and_has_read_little_ahead(
    engine: Engine, speech: Spoken, held: Hold
) -> None:
    source = held(np.concatenate([speech.samples] * 2))
    steps = engine.transcribe(source, Task(ENGLISH))
    assert next(steps).segments
    steps.close()  # type: ignore[attr-defined]
    assert list(steps) == []
    rest = len(source.read(10**9)) / 16_000
    assert rest > 2 * speech.seconds - 62, "it reads no more than its windows and the next one"


def test_samples_are_asked_for_in_bounded_pieces(engine: Engine, speech: Spoken, held: Hold) -> None:
    source = held(speech.samples)
    next(engine.transcribe(source, Task(ENGLISH, resume_at=35.0)))
    assert source.largest <= 31 * 16_000


@pytest.mark.parametrize("vad", [False, True])
def test_silence_gives_no_text(engine: Engine, held: Hold, vad: bool) -> None:
    silence = np.zeros(16_000 * 40, np.float32)
    steps = list(engine.transcribe(held(silence), Task(JobSettings(model="tiny.en", vad=vad))))
    assert finish(steps) == []
    assert steps[-1].resume_at == 40.0
    assert steps[-1].language is None


def test_hiss_gives_no_text(engine: Engine, held: Hold) -> None:
    hiss = 1e-3 * np.random.default_rng(1).standard_normal(16_000 * 40).astype(np.float32)
    assert finish(engine.transcribe(held(hiss), Task(JobSettings(model="tiny.en", vad=True)))) == []


def test_speech_after_a_long_silence_is_found_and_placed(
    engine: Engine, librivox: list[Any], held: Hold
) -> None:
    samples = np.concatenate([np.zeros(16_000 * 65, np.float32), librivox[0].samples])
    segments = finish(engine.transcribe(held(samples), Task(ENGLISH)))
    assert 60 <= segments[0].start < 67
    assert "dashwood" in text_of(segments).lower()


def test_beams_and_control_tokens_in_the_prompt_do_no_harm(
    engine: Engine, librivox: list[Any], held: Hold
) -> None:
    settings = JobSettings(
        model="tiny.en", beam_size=2, initial_prompt="<|endoftext|> John Dashwood <|0.00|>"
    )
    segments = finish(engine.transcribe(held(librivox[0].samples), Task(settings)))
    assert "dashwood" in text_of(segments).lower()


def test_a_temperature_is_honoured(engine: Engine, librivox: list[Any], held: Hold) -> None:
    task = Task(JobSettings(model="tiny.en", temperature=0.4))
    segments = finish(engine.transcribe(held(librivox[0].samples), task))
    assert segments
    assert all((segment.temperature or 0) >= 0.4 for segment in segments)


def test_nothing_gives_nothing(engine: Engine, held: Hold) -> None:
    assert finish(engine.transcribe(held(np.zeros(0, np.float32)), Task(ENGLISH))) == []
    assert finish(engine.transcribe(held(np.ones(100, np.float32)), Task(ENGLISH))) == []


@pytest.mark.parametrize("name", [name for name in EXTRAS if name != "fake"])
def test_a_missing_or_damaged_model_is_told(
    name: str, tmp_path: Path, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))  # whisper's own downloads are found too
    engine = create(name, models_dir=tmp_path, device="cpu")
    job = Task(JobSettings(model="tiny"))
    assert engine.models() == []
    with pytest.raises(JobFailure, match="models pull tiny") as failure:
        next(engine.transcribe(held(np.ones(16_000, np.float32)), job))
    assert (failure.value.code, failure.value.retryable) == ("model-missing", True)
    (tmp_path / "tiny.pt").write_bytes(b"damaged")
    assert engine.models() == ["tiny"]
    with pytest.raises(JobFailure, match="damaged") as failure:
        next(engine.transcribe(held(np.ones(16_000, np.float32)), job))
    assert (failure.value.code, failure.value.retryable) == ("model-damaged", True)


@pytest.mark.parametrize("name", [name for name in EXTRAS if name != "fake"])
@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(name: str, device: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no device"):
        create(name, models_dir=tmp_path, device=device)
