"""What is faster-whisper's own: its files, its windows, its batches."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from whisper.tokenizer import get_tokenizer

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Task, Unsupported
from projectw_runner.engines.faster_whisper import conversion, loading
from projectw_runner.engines.faster_whisper.cutting import cut
from projectw_runner.engines.faster_whisper.decoding import Decoded
from projectw_runner.engines.faster_whisper.engine import FOLDER, FasterWhisperEngine
from projectw_runner.engines.faster_whisper.transcription import Transcription, _in_order, _missed
from projectw_runner.engines.faster_whisper.vocabulary import vocabulary
from projectw_runner.engines.faster_whisper.windows import Batch, Span, Window, Windows
from projectw_runner.engines.faster_whisper.words import Passage
from projectw_runner.engines.pace import Pace
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import Segment, Word, text_of

RATE = 16_000
Hold = Callable[..., Any]


# The files


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # whisper does not close its vocabulary
@pytest.mark.parametrize("is_multilingual", [False, True])
def test_the_tokens_are_those_of_openai(is_multilingual: bool) -> None:
    ours = vocabulary(is_multilingual=is_multilingual, languages=99)
    theirs = get_tokenizer(is_multilingual)
    assert len(ours.tokens) == theirs.encoding.n_vocab
    assert len(set(ours.tokens)) == len(ours.tokens)
    tokenizer = tokenizers.Tokenizer.from_str(ours.tokenizer.to_str())
    for name, number in theirs.special_tokens.items():
        assert ours.tokens[number] == name
        assert tokenizer.token_to_id(name) == (number if number < theirs.timestamp_begin else None)
    tokenizer.encode_special_tokens = True
    chance = random.Random(1)
    letters = [
        *range(32, 127),
        *range(0xA0, 0x250),
        *range(0x400, 0x500),
        *range(0x4E00, 0x4F00),
        0x1F600,
        10,
    ]
    texts = ["".join(chr(chance.choice(letters)) for _ in range(40)) for _ in range(200)]
    for text in ["It's 3.14 o'clock, they'll  say.\n", "<|endoftext|> a <|0.00|>", *texts]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == theirs.encode(text, disallowed_special=())
        assert tokenizer.decode(ids) == text


@pytest.mark.model
def test_a_model_is_converted_once_and_again_when_it_is_damaged(tiny_en: Path, tmp_path: Path) -> None:
    def unasked() -> Path:
        raise AssertionError("the checkpoint was read")

    folder = conversion.converted("tiny.en", tmp_path, lambda: tiny_en)
    weights = folder / "model.bin"
    assert conversion.converted("tiny.en", tmp_path, unasked) == folder
    whole = weights.read_bytes()
    (tmp_path / ".making-forgotten").mkdir()
    os.utime(tmp_path / ".making-forgotten", (0, 0))
    weights.write_bytes(whole[:-1] + b"\xff")
    with pytest.raises(AssertionError):
        conversion.converted("tiny.en", tmp_path, unasked)
    assert conversion.converted("tiny.en", tmp_path, lambda: tiny_en) == folder
    assert weights.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.model
def test_a_folder_that_cannot_be_written_is_told(tiny_en: Path, tmp_path: Path, held: Hold) -> None:
    (tmp_path / "tiny.en.pt").symlink_to(tiny_en)
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    engine = FasterWhisperEngine(CheckpointStore(tmp_path, also=[]), device="cpu")
    with pytest.raises(JobFailure, match="cannot convert the model tiny") as failure:
        next(engine.transcribe(held(np.ones(RATE, np.float32)), Task(JobSettings(model="tiny.en"))))
    assert failure.value.retryable


def test_a_precision_that_a_device_has_not_is_refused() -> None:
    assert loading.compute_type("auto", "cpu", 0) == "int8"
    assert loading.compute_type("float32", "cpu", 0) == "float32"
    with pytest.raises(Unsupported, match="the CPU cannot compute with bfloat8") as refusal:
        loading.compute_type("bfloat8", "cpu", 0)
    assert refusal.value.setting == "precision"


def test_torch_is_only_needed_to_convert() -> None:
    code = (
        "import sys, projectw_runner.engines.faster_whisper.engine;"
        "print({'torch', 'whisper'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# The windows


def loud(samples: np.ndarray) -> list[Span]:
    """Find speech as a detector does: where the samples are not 0."""
    marks = np.flatnonzero(np.diff(np.concatenate([[False], samples != 0, [False]])))
    return [(int(one), int(two)) for one, two in marks.reshape(-1, 2)]


def recording(*parts: float) -> np.ndarray:
    """Speech and pauses in turn, in seconds."""
    sounds = [np.full(round(part * RATE), float(n % 2 == 0), np.float32) for n, part in enumerate(parts)]
    return np.concatenate(sounds)


def windows_of(
    samples: np.ndarray, held: Hold, start: float = 0.0, count: int = 1, max_pause: float = 5.0
) -> list[Batch]:
    windows = Windows(held(samples), loud, max_pause=max_pause, start_seconds=start)
    return list(iter(lambda: windows.next(count), None))


def places(batches: Sequence[Batch]) -> list[tuple[float, float]]:
    return [
        (round(window.start_seconds, 1), round(window.end_seconds, 1))
        for batch in batches
        for window in batch.windows
    ]


def test_a_window_ends_in_a_late_pause(held: Hold) -> None:
    batches = windows_of(recording(10, 2, 8, 0.5, 7, 0.2, 20), held)
    assert places(batches) == [(0.0, 20.2), (20.2, 47.7)]
    assert [batch.resume_at for batch in batches] == pytest.approx([20.25, 47.7])


def test_a_long_pause_ends_a_window_early_and_is_passed_over(held: Hold) -> None:
    assert places(windows_of(recording(3, 6, 4), held)) == [(0.0, 3.3), (8.7, 13.0)]
    assert places(windows_of(recording(3, 4, 4), held)) == [(0.0, 11.0)]
    assert places(windows_of(recording(3, 4, 4), held, max_pause=2.0)) == [(0.0, 3.3), (6.7, 11.0)]


def test_without_a_pause_the_quietest_place_is_cut(held: Hold) -> None:
    samples = recording(50)
    samples[25 * RATE : 25 * RATE + RATE // 10] = 0.1
    assert places(windows_of(samples, held)) == [(0.0, 25.1), (25.1, 50.0)]


def test_silence_is_passed_over_and_told_every_few_minutes(held: Hold) -> None:
    samples = np.concatenate([np.zeros(400 * RATE, np.float32), recording(2)])
    batches = windows_of(samples, held)
    assert places(batches) == [(399.7, 402.0)]
    assert not batches[0].windows
    assert 300 <= batches[0].resume_at < 330
    assert batches[-1].resume_at == 402.0


def test_where_windows_lie_does_not_depend_on_what_was_before(held: Hold) -> None:
    samples = recording(4, 1, 14, 0.4, 9, 3, 12, 0.3, 15, 8, 2, 1, 20, 1, 25)
    batches = windows_of(samples, held)
    assert len(batches) > 3
    for number, batch in enumerate(batches[:-1], 1):
        assert places(windows_of(samples, held, start=batch.resume_at)) == places(batches[number:])
    assert places(windows_of(samples, held, count=3)) == places(batches)


def test_little_is_held_and_a_batch_is_bounded(held: Hold) -> None:
    source = held(recording(*[9.0, 1.0] * 30))
    windows = Windows(source, loud, max_pause=5.0)
    batch = windows.next(3)
    assert batch is not None
    assert len(batch.windows) == 3
    assert source.largest <= 30 * RATE
    assert len(source.read(10**9)) >= (300 - 120) * RATE


# The segments


def words(text: str, *, each: float = 0.4, pauses: dict[int, float] | None = None) -> list[Word]:
    made, time = [], 0.0
    for n, word in enumerate(text.split()):
        time += (pauses or {}).get(n, 0.0)
        made.append(Word(f" {word}", round(time, 2), round(time + each, 2), 0.9))
        time += each
    return made


def cut_texts(*arguments: Any, **options: Any) -> list[str]:
    return ["".join(word.word for word in part).strip() for part in cut(words(*arguments, **options))]


def test_sentences_and_pauses_end_segments() -> None:
    assert cut_texts("I saw Mr. Dashwood there. He left? Yes!") == [
        "I saw Mr. Dashwood there.",
        "He left?",
        "Yes!",
    ]
    assert cut_texts("and then she came", pauses={2: 1.5}) == ["and then", "she came"]
    assert cut_texts("He said “go.” Then no more") == ["He said “go.” Then no more"]
    assert cut_texts("He said “go.” Then no more", pauses={3: 0.3}) == ["He said “go.”", "Then no more"]


def test_a_long_sentence_is_parted_at_a_comma_near_its_middle_and_loses_nothing() -> None:
    text = (
        "one two three four five six seven eight nine ten, eleven twelve thirteen fourteen fifteen sixteen "
        * 2
    )
    parts = cut_texts(text)
    assert " ".join(parts) == text.strip()
    assert parts[0].endswith("ten,")
    assert all(len(part.split()) <= 25 for part in parts)
    assert list(cut([])) == []


def test_speech_without_words_is_heard_again_and_put_in_its_place() -> None:
    window = Window(10 * RATE, np.zeros(20 * RATE, np.float32), ((0, 5 * RATE), (8 * RATE, 20 * RATE)))
    decoded = Decoded([], -0.1, 0.0, 1.0, 0.0)
    early, late = Word(" early", 10.0, 15.0, 0.9), Word(" late", 29.0, 30.0, 0.9)
    passage = Passage(window, decoded, [early, late])
    (gap,) = _missed(passage)
    assert (gap.start_seconds, gap.end_seconds) == (15.0, 29.0)
    between = Passage(gap, decoded, [Word(" between", 20.0, 21.0, 0.9)])
    ordered = [word.word for part in _in_order([passage], [between]) for word in part.words]
    assert ordered == [" early", " between", " late"]
    covered = [early, Word(" between", 18.0, 29.0, 0.9), late]
    assert _missed(Passage(window, decoded, covered)) == []


# The batches


Full = RuntimeError("CUDA failed with error out of memory")


@pytest.mark.model
def test_less_memory_makes_smaller_batches_of_the_same_text(
    tiny_en: Path, librivox: list[Any], held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = np.zeros(9 * RATE, np.float32)
    samples = np.concatenate([part for clip in librivox[:4] for part in (clip.samples, silence)])
    task = Task(JobSettings(model="tiny.en"))
    sizes: list[int] = []
    real = Transcription.batch

    def counted(self: Transcription, model: Any, windows: Sequence[Window]) -> list[Segment]:
        sizes.append(len(windows))
        return real(self, model, windows)

    monkeypatch.setattr(Transcription, "batch", counted)
    engine = FasterWhisperEngine(CheckpointStore(tiny_en.parent), device="cpu")
    monkeypatch.setattr(Pace, "note", lambda self, windows, seconds: setattr(self, "count", 3))
    plenty = list(engine.transcribe(held(samples), task))
    assert sizes == [1, 3]

    def scarce(self: Transcription, model: Any, windows: Sequence[Window]) -> list[Segment]:
        if len(windows) > 1:
            raise Full
        return counted(self, model, windows)

    monkeypatch.setattr(Transcription, "batch", scarce)
    sizes.clear()
    segments = [segment for step in engine.transcribe(held(samples), task) for segment in step.segments]
    assert sizes == [1, 1, 1, 1]
    assert text_of(segments) == text_of([segment for step in plenty for segment in step.segments])
    assert [segment.id for segment in segments] == list(range(len(segments)))
    engine.unload()


@pytest.mark.model
@pytest.mark.parametrize("at", ["load", "batch"])
@pytest.mark.parametrize("cpu_fallback", [False, True])
def test_a_full_card_is_left_for_the_cpu_if_that_is_wanted(
    tiny_en: Path,
    librivox: list[Any],
    held: Hold,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    cpu_fallback: bool,
) -> None:
    kinds: list[str] = []
    real_load, real_batch = loading.load, Transcription.batch

    def load(folder: Path, kind: str, number: int, compute: str, threads: int | None) -> Any:
        kinds.append(kind)
        with loading.memory_failures(kind):
            if kind == "cuda" and at == "load":
                raise Full
        return real_load(folder, "cpu", 0, "int8", threads)

    def batch(self: Transcription, model: Any, windows: Sequence[Window]) -> list[Segment]:
        if kinds == ["cuda"]:
            raise Full
        return real_batch(self, model, windows)

    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(loading, "compute_type", lambda precision, kind, number: "int8")
    monkeypatch.setattr(loading, "choose_device", lambda wish: ("cuda", 0))
    monkeypatch.setattr(Transcription, "batch", batch)
    engine = FasterWhisperEngine(CheckpointStore(tiny_en.parent), device="cuda", cpu_fallback=cpu_fallback)
    steps = engine.transcribe(held(librivox[1].samples), Task(JobSettings(model="tiny.en")))
    if cpu_fallback:
        assert next(steps).segments
        assert kinds == ["cuda", "cpu"]
    else:
        with pytest.raises(JobFailure, match="The graphics card") as failure:
            next(steps)
        assert (failure.value.code, failure.value.retryable) == ("out-of-memory", True)
    engine.unload()


@pytest.mark.model
def test_the_weights_stay_warm_until_they_are_unloaded(
    tiny_en: Path, librivox: list[Any], held: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    real = loading.load
    monkeypatch.setattr(loading, "load", lambda folder, *rest: loads.append(folder) or real(folder, *rest))
    engine = FasterWhisperEngine(CheckpointStore(tiny_en.parent), device="cpu")
    task = Task(JobSettings(model="tiny.en"))
    for _ in range(2):
        list(engine.transcribe(held(librivox[1].samples), task))
    assert len(loads) == 1
    engine.unload()
    list(engine.transcribe(held(librivox[1].samples), task))
    assert len(loads) == 2
