"""The whole engine, with the smallest real weights on real speech."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
from whisper.audio import log_mel_spectrogram
from whisper.decoding import DecodingOptions, decode

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Step, Task
from projectw_runner.engines.registry import create
from projectw_runner.engines.whisper import decoding, loading
from projectw_runner.engines.whisper.engine import WhisperEngine
from projectw_runner.engines.whisper.loading import choose_device, memory_failures
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment, text_of

pytestmark = pytest.mark.model

ENGLISH = JobSettings(model="tiny.en")
Samples = Any


@pytest.fixture(scope="module")
def engine(tiny_en: Path) -> Iterator[WhisperEngine]:
    engine = WhisperEngine(CheckpointStore(tiny_en.parent), device="cpu")
    yield engine
    engine.unload()


@pytest.fixture(scope="module")
def speech(librivox: list[Any]) -> tuple[np.ndarray, str]:
    """Over a minute: the clips one after another with pauses, again and again in different orders."""
    pause = np.zeros(12_000, np.float32)
    order = [0, 1, 2, 3, 4, 3, 0, 2, 4, 1, 2, 3]
    samples = np.concatenate([part for n in order for part in (librivox[n].samples, pause)])
    return samples, " ".join(librivox[n].text for n in order)


def finish(steps: Iterator[Step]) -> list[Segment]:
    return [segment for step in steps for segment in step.segments]


def words_of(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower().replace("mr.", "mister")))


def test_the_words_are_those_that_were_spoken(
    engine: WhisperEngine, speech: tuple[np.ndarray, str], held: Callable[..., Samples]
) -> None:
    samples, spoken = speech
    steps = list(engine.transcribe(held(samples), Task(ENGLISH)))
    segments = finish(iter(steps))
    assert jiwer.wer(words_of(spoken), words_of(text_of(segments))) < 0.12
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(step.language == "en" for step in steps)
    assert len(steps) >= 3
    ends = [step.resume_at for step in steps]
    assert ends == sorted(set(ends))
    assert ends[-1] == pytest.approx(len(samples) / 16_000, abs=0.02)
    for segment in segments:
        assert 0 <= segment.start < segment.end <= len(samples) / 16_000
        for number in (
            segment.avg_logprob,
            segment.no_speech_prob,
            segment.compression_ratio,
            segment.temperature,
        ):
            assert number is not None
            assert math.isfinite(number)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [(ENGLISH, 90), (JobSettings(model="tiny.en", initial_prompt="Dashwood", temperature=0.4), 40)],
)
def test_a_resumed_transcript_is_the_one_that_was_not_interrupted(
    engine: WhisperEngine,
    speech: tuple[np.ndarray, str],
    held: Callable[..., Samples],
    settings: JobSettings,
    seconds: int,
) -> None:
    samples = speech[0][: 16_000 * seconds]
    whole = list(engine.transcribe(held(samples), Task(settings)))
    for stop in {1, len(whole) - 1}:
        done = finish(iter(whole[:stop]))
        task = Task(
            settings,
            language=whole[stop - 1].language,
            first=len(done),
            resume_at=whole[stop - 1].resume_at,
            previous=tuple(done[-PROMPT_SEGMENTS:]),
        )
        assert done + finish(engine.transcribe(held(samples), task)) == finish(iter(whole))


def test_words_lie_inside_their_segments_and_in_order(
    engine: WhisperEngine, speech: tuple[np.ndarray, str], held: Callable[..., Samples]
) -> None:
    samples, _ = speech
    settings = JobSettings(model="tiny.en", word_timestamps=True)
    whole = list(engine.transcribe(held(samples[: 16_000 * 50]), Task(settings)))
    segments = finish(iter(whole))
    for segment in segments:
        assert segment.words
        assert "".join(word.word for word in segment.words).strip() == segment.text.strip()
        for word in segment.words:
            assert segment.start <= word.start <= word.end <= segment.end
            assert 0 <= word.probability <= 1
    starts = [word.start for segment in segments for word in segment.words or ()]
    assert starts == sorted(starts)
    done = finish(iter(whole[:1]))
    task = Task(settings, first=len(done), resume_at=whole[0].resume_at, previous=tuple(done))
    assert done + finish(engine.transcribe(held(samples[: 16_000 * 50]), task)) == segments


def test_the_work_ends_between_two_steps(
    engine: WhisperEngine, speech: tuple[np.ndarray, str], held: Callable[..., Samples]
) -> None:
    source = held(speech[0])
    steps = engine.transcribe(source, Task(ENGLISH))
    first = next(steps)
    assert first.segments
    steps.close()  # type: ignore[attr-defined]
    assert list(steps) == []
    assert len(source.read(10**9)) > 16_000 * 30, "it read no further than its window"


def test_a_later_beginning_numbers_on(
    engine: WhisperEngine, speech: tuple[np.ndarray, str], held: Callable[..., Samples]
) -> None:
    steps = engine.transcribe(held(speech[0]), Task(ENGLISH, first=17, resume_at=60.0))
    segment = next(steps).segments[0]
    assert segment.id == 17
    assert segment.start >= 60.0


@pytest.mark.parametrize("amplitude", [0.0, 1e-3])
def test_silence_and_hiss_give_no_text(
    engine: WhisperEngine, held: Callable[..., Samples], amplitude: float
) -> None:
    hiss = amplitude * np.random.default_rng(1).standard_normal(16_000 * 40).astype(np.float32)
    steps = list(engine.transcribe(held(hiss), Task(JobSettings(model="tiny.en", vad=True))))
    assert finish(iter(steps)) == []
    assert steps[-1].resume_at == 40.0


def test_speech_after_silence_is_found_and_placed(
    engine: WhisperEngine, librivox: list[Any], held: Callable[..., Samples]
) -> None:
    samples = np.concatenate([np.zeros(16_000 * 65, np.float32), librivox[0].samples])
    steps = list(engine.transcribe(held(samples), Task(ENGLISH)))
    assert [step.language for step in steps[:2]] == [None, None]
    segments = finish(iter(steps))
    assert segments[0].start >= 60
    assert "dashwood" in text_of(segments).lower()


def test_beams_and_control_tokens_in_the_prompt_are_honoured(
    engine: WhisperEngine, librivox: list[Any], held: Callable[..., Samples]
) -> None:
    settings = JobSettings(model="tiny.en", beam_size=2, initial_prompt="<|endoftext|> John Dashwood")
    segments = finish(engine.transcribe(held(librivox[0].samples), Task(settings)))
    assert "dashwood" in text_of(segments).lower()


def test_a_warmer_try_is_reproducible(
    engine: WhisperEngine, librivox: list[Any], held: Callable[..., Samples]
) -> None:
    task = Task(JobSettings(model="tiny.en", temperature=1.0))
    texts = {text_of(finish(engine.transcribe(held(librivox[0].samples), task))) for _ in range(2)}
    assert len(texts) == 1


def test_numbers_that_json_cannot_say_are_left_out(
    engine: WhisperEngine, librivox: list[Any], held: Callable[..., Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = decoding.whisper.decode

    def odd(*arguments: Any) -> Any:
        result = real(*arguments)
        return type(result)(
            audio_features=result.audio_features,
            language="en",
            tokens=result.tokens,
            avg_logprob=float("nan"),
            no_speech_prob=float("nan"),
            compression_ratio=float("nan"),
        )

    monkeypatch.setattr(decoding.whisper, "decode", odd)
    (segment, *_) = finish(engine.transcribe(held(librivox[1].samples), Task(ENGLISH)))
    assert (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio) == (None, None, None)


def test_the_weights_stay_warm_until_they_are_unloaded(
    engine: WhisperEngine, librivox: list[Any], held: Callable[..., Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    real = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: loads.append(str(a[0])) or real(*a, **k))
    engine.unload()
    for _ in range(2):
        finish(engine.transcribe(held(librivox[1].samples), Task(ENGLISH)))
    assert len(loads) == 1
    engine.unload()
    finish(engine.transcribe(held(librivox[1].samples), Task(ENGLISH)))
    assert len(loads) == 2


def test_a_missing_or_damaged_model_is_told(tmp_path: Path, held: Callable[..., Samples]) -> None:
    engine = create("whisper", models_dir=tmp_path, device="cpu")
    engine._store._folders = [tmp_path]  # type: ignore[attr-defined]  # not what the user's cache may hold
    with pytest.raises(JobFailure, match="models pull tiny") as failure:
        next(engine.transcribe(held(np.ones(16_000, np.float32)), Task(JobSettings(model="tiny"))))
    assert failure.value.code == "model-missing"
    (tmp_path / "tiny.pt").write_bytes(b"damaged")
    assert engine.models() == ["tiny"]
    with pytest.raises(JobFailure, match="damaged") as failure:
        next(engine.transcribe(held(np.ones(16_000, np.float32)), Task(JobSettings(model="tiny"))))
    assert failure.value.code == "model-damaged"


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_a_lack_of_memory_is_a_failure_that_another_runner_may_mend(problem: Exception) -> None:
    cuda = torch.device("cuda", 0)
    with pytest.raises(JobFailure, match="not enough free memory") as failure, memory_failures(cuda):
        raise problem
    assert (failure.value.code, failure.value.retryable) == ("out-of-memory", True)
    with pytest.raises(RuntimeError, match="another"), memory_failures(torch.device("cpu")):
        raise RuntimeError("another fault")


def test_a_device_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(ValueError, match="no device; use auto, cpu, cuda"):
        choose_device("toaster")
    with pytest.raises(ValueError, match=r"there is no device cuda:99"):
        choose_device("cuda:99")
    assert choose_device("auto").type in ("cpu", "cuda")


def test_weights_halved_once_hear_and_write_the_same_as_weights_halved_at_every_call(
    engine: WhisperEngine, tiny_en: Path, librivox: list[Any]
) -> None:
    whole = engine._model("tiny.en")
    halved = loading.load("tiny.en", tiny_en, torch.device("cpu"))
    loading.halve(halved)
    mel = log_mel_spectrogram(librivox[1].samples, padding=480_000)[:, :3000].half()
    options = DecodingOptions(language="en", fp16=True, sample_len=8)
    one, two = decode(whole, mel, options), decode(halved, mel, options)
    assert one.audio_features.dtype == torch.float16
    assert torch.equal(one.audio_features, two.audio_features)
    assert one.tokens == two.tokens
    assert one.avg_logprob == two.avg_logprob
