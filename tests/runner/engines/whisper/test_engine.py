"""The loop over batches: how large they are, what happens when memory does not do, and warm weights."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Step, Task, Unsupported
from projectw_runner.engines.whisper import engine as engine_module
from projectw_runner.engines.whisper import loading
from projectw_runner.engines.whisper.engine import WhisperEngine
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.transcription import Transcription
from projectw_runner.engines.whisper.windows import Window
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import Segment
from tests.runner.conftest import Spoken
from tests.runner.engines.whisper.small import Loudness

pytestmark = pytest.mark.model

ENGLISH = Task(JobSettings(model="tiny.en"))
FULL = RuntimeError("CUDA error: out of memory")
RATE = 16_000
Hold = Callable[..., Any]


class Counting:
    """Stands for the work on a batch: a segment a window, and a memory that holds so many windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: Callable[[Network], int]) -> None:
        self.sizes: list[int] = []
        self.starts: list[float] = []
        monkeypatch.setattr(engine_module, "SpeechDetector", Loudness)
        counting = self

        def batch(work: Transcription, network: Network, windows: Sequence[Window]) -> list[Segment]:
            counting.sizes.append(len(windows))
            if len(windows) > room(network):
                raise FULL
            made = [
                Segment(id=work._count + n, start=window.start_seconds, end=window.end_seconds, text=" word")
                for n, window in enumerate(windows)
            ]
            work._count += len(made)
            counting.starts += [segment.start for segment in made]
            return made

        monkeypatch.setattr(Transcription, "batch", batch)


@pytest.fixture
def engine(tiny_en: Path) -> WhisperEngine:
    return WhisperEngine(CheckpointStore(tiny_en.parent), device="cpu", precision="float32")


@pytest.fixture(autouse=True)
def one_network(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Load nothing; return the names of the devices on which weights were asked for."""
    asked: list[str] = []

    def load(name: str, path: Path, device: torch.device, precision: str) -> Network:
        asked.append(f"{device.type} {precision}")
        return Network(**{**vars(network), "name": name})

    monkeypatch.setattr(loading, "load", load)
    return asked


def speech(times: int) -> NDArray[np.float32]:
    """So many pieces of speech, each a window of its own."""
    piece = np.concatenate([np.full(2 * RATE, 0.9, np.float32), np.zeros(4 * RATE, np.float32)])
    return np.tile(piece, times)


def finish(steps: Iterator[Step]) -> list[Segment]:
    return [segment for step in steps for segment in step.segments]


def test_a_batch_has_as_many_windows_as_time_and_memory_allow(
    engine: WhisperEngine, network: Network, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch, lambda network: 99)
    segments = finish(engine.transcribe(held(speech(40)), ENGLISH))
    most = engine_module._CPU_BYTES // network.window_bytes(1)
    assert 12 < most < 16
    assert counting.sizes == [4, 8, most, 40 - 12 - most]
    assert [segment.id for segment in segments] == list(range(40))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_batch_has_no_more_windows_than_the_operator_allows(
    tiny_en: Path, held: Hold, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    counting = Counting(monkeypatch, lambda network: 99)
    engine = WhisperEngine(CheckpointStore(tiny_en.parent), device="cpu", batch_size=batch_size)
    assert len(finish(engine.transcribe(held(speech(7)), ENGLISH))) == 7
    assert max(counting.sizes) == batch_size
    assert sum(counting.sizes) == 7


def test_a_batch_has_no_more_windows_than_fit_into_memory(
    engine: WhisperEngine, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 3 * network.window_bytes(1) + 1
    monkeypatch.setattr(engine_module, "_CPU_BYTES", room)
    pace = engine._pace(network, ENGLISH)
    for _ in range(5):
        pace.note(pace.count, 0.01)
    assert pace.count == 3
    assert engine._pace(network, Task(JobSettings(beam_size=5))).count == 1
    assert engine._pace(network, Task(JobSettings(temperature=0.2))).count == 1


def test_a_large_model_begins_with_one_window(engine: WhisperEngine, network: Network) -> None:
    assert engine._pace(network, ENGLISH).count == 4
    large = Network(**{**vars(network), "parameters": 10**9})
    assert engine._pace(large, ENGLISH).count == 1


def test_less_memory_makes_smaller_batches_from_then_on(
    engine: WhisperEngine, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch, lambda network: 1)
    segments = finish(engine.transcribe(held(speech(8)), ENGLISH))
    assert counting.sizes == [4, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert [segment.id for segment in segments] == list(range(8))
    assert counting.starts == sorted(counting.starts)


def test_one_window_that_does_not_fit_is_a_failure(
    engine: WhisperEngine, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counting(monkeypatch, lambda network: 0)
    with pytest.raises(JobFailure, match="not enough free memory") as failure:
        next(engine.transcribe(held(speech(1)), ENGLISH))
    assert (failure.value.code, failure.value.retryable) == ("out-of-memory", True)


def on_a_card(monkeypatch: pytest.MonkeyPatch, network: Network, *, loads: bool = True) -> list[str]:
    """Pretend that there is a graphics card, on which weights lie but no window fits."""
    asked: list[str] = []
    monkeypatch.setattr(loading, "choose_device", lambda wish: torch.device("cuda", 0))
    monkeypatch.setattr(loading, "describe_device", str)
    monkeypatch.setattr(loading, "release", lambda device: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**10, 10**10))

    def load(name: str, path: Path, device: torch.device, precision: str) -> Network:
        asked.append(f"{device.type} {precision}")
        with loading.memory_failures(device):
            if device.type == "cuda" and not loads:
                raise FULL
        return Network(**{**vars(network), "name": name, "device": device})

    monkeypatch.setattr(loading, "load", load)
    return asked


@pytest.mark.parametrize("loads", [True, False])
def test_a_full_card_is_left_for_the_cpu_if_that_is_wanted(
    tiny_en: Path, network: Network, held: Hold, monkeypatch: pytest.MonkeyPatch, loads: bool
) -> None:
    asked = on_a_card(monkeypatch, network, loads=loads)
    counting = Counting(monkeypatch, lambda network: 99 if network.device.type == "cpu" else 0)
    store = CheckpointStore(tiny_en.parent)
    restarted: list[bool] = []
    monkeypatch.setattr(Transcription, "restart", lambda work: restarted.append(True))
    engine = WhisperEngine(store, device="cuda", precision="float16", cpu_fallback=True)
    segments = finish(engine.transcribe(held(speech(3)), ENGLISH))
    assert asked == ["cuda float16", "cpu auto"]
    assert [segment.id for segment in segments] == [0, 1, 2]
    assert counting.starts == sorted(counting.starts)
    assert restarted == ([True] if loads else [])


@pytest.mark.parametrize("loads", [True, False])
def test_a_full_card_is_a_failure_without_the_operators_leave(
    tiny_en: Path, network: Network, held: Hold, monkeypatch: pytest.MonkeyPatch, loads: bool
) -> None:
    asked = on_a_card(monkeypatch, network, loads=loads)
    Counting(monkeypatch, lambda network: 0)
    engine = WhisperEngine(CheckpointStore(tiny_en.parent), device="cuda")
    with pytest.raises(JobFailure, match="The graphics card") as failure:
        next(engine.transcribe(held(speech(3)), ENGLISH))
    assert failure.value.code == "out-of-memory"
    assert asked == ["cuda auto"]


def test_another_failure_is_not_taken_for_a_lack_of_memory(
    engine: WhisperEngine, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SpeechDetector", Loudness)

    def batch(work: Transcription, network: Network, windows: Sequence[Window]) -> list[Segment]:
        raise JobFailure("runner-error", "something else", retryable=True)

    monkeypatch.setattr(Transcription, "batch", batch)
    with pytest.raises(JobFailure, match="something else"):
        next(engine.transcribe(held(speech(4)), ENGLISH))


def test_the_weights_stay_warm_until_they_are_unloaded(
    engine: WhisperEngine, held: Hold, monkeypatch: pytest.MonkeyPatch, one_network: list[str]
) -> None:
    Counting(monkeypatch, lambda network: 99)
    for _ in range(2):
        finish(engine.transcribe(held(speech(1)), ENGLISH))
    assert one_network == ["cpu float32"]
    engine.unload()
    finish(engine.transcribe(held(speech(1)), ENGLISH))
    assert len(one_network) == 2


def test_a_precision_that_the_device_has_not_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="float16 is for graphics cards") as refusal:
        WhisperEngine(CheckpointStore(tmp_path), device="cpu", precision="float16")
    assert refusal.value.setting == "precision"


def test_a_job_that_asks_for_it_hears_only_what_is_surely_speech(
    engine: WhisperEngine, held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch, lambda network: 99)
    faint = 0.6 * np.ones(3 * RATE, np.float32)
    strict = Task(JobSettings(model="tiny.en", vad=True))
    assert finish(engine.transcribe(held(faint), strict)) == []
    assert counting.sizes == []
    assert len(finish(engine.transcribe(held(faint), ENGLISH))) == 1


def test_batches_make_the_text_that_single_windows_make(
    tiny_en: Path, librivox: list[Spoken], held: Hold
) -> None:
    pause = np.zeros(4 * RATE, np.float32)
    samples = np.concatenate([part for clip in librivox[:3] for part in (clip.samples, pause)])
    texts = []
    for batch_size in (1, 3):
        store = CheckpointStore(tiny_en.parent)
        engine = WhisperEngine(store, device="cpu", precision="float32", batch_size=batch_size)
        steps = list(engine.transcribe(held(samples), ENGLISH))
        texts.append([(segment.id, segment.text) for segment in finish(iter(steps))])
        assert len([step for step in steps if step.segments]) == (3 if batch_size == 1 else 1)
    assert texts[0] == texts[1]
