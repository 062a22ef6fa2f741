"""Whisper as an engine: the loop over windows, and the weights kept warm. Imports torch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from projectw_runner.checkpoints import CheckpointStore, canonical
from projectw_runner.engines import Samples, Step, Task
from projectw_runner.engines.whisper import loading
from projectw_runner.engines.whisper.choosing import choose_model
from projectw_runner.engines.whisper.context import Context
from projectw_runner.engines.whisper.decoding import Decoded, decode
from projectw_runner.engines.whisper.hearing import hear, is_silent, language_of, level_of
from projectw_runner.engines.whisper.levels import Levelled
from projectw_runner.engines.whisper.splitting import Draft, Split, split
from projectw_runner.engines.whisper.windows import FRAMES_PER_SECOND, Window, Windows
from projectw_runner.engines.whisper.words import place_words
from projectw_shared.transcripts import Segment, Word


@dataclass(frozen=True)
class _Loaded:
    name: str
    model: Whisper


class WhisperEngine:
    """OpenAI's model and decoding. One window of 30 seconds is one batch.

    On a graphics card a window takes well under a second. On a CPU the large models take longer than the 5 seconds
    that a batch should take: nothing smaller than a window can be decoded, so there a job is cancelled later.
    """

    name = "openai-whisper"

    def __init__(
        self,
        store: CheckpointStore,
        *,
        device: str = "auto",
        default_model: str | None = None,
        threads: int | None = None,
        precision: str = "auto",
        batch_size: int | None = None,
        cpu_fallback: bool = False,
    ) -> None:
        """Raise ``ValueError`` for a device that is not there. ``threads``: what torch may use on the CPU."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._store = store
        self._device = loading.choose_device(device)
        self._default_model = default_model
        self._loaded: _Loaded | None = None
        self.device = loading.describe_device(self._device)

    def models(self) -> list[str]:
        """Return the names of the checkpoints on this machine, aliases too."""
        return self._store.names()

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Yield a step for each window of 30 seconds or less. Raises ``JobFailure``."""
        name = choose_model(self._store.names(), task, self._default_model)
        model = self._model(name)
        levelled = Levelled(samples, partial(level_of, model))
        windows = Windows(levelled, task.resume_at)
        work = _Transcription(model, task)
        while (window := windows.current()) is not None:
            with loading.memory_failures(self._device):
                segments, advance = work.window(window, levelled.level)
            windows.advance(advance)
            yield Step(
                tuple(segments),
                min((window.start + advance) / FRAMES_PER_SECOND, window.end_seconds),
                work.language,
            )

    def unload(self) -> None:
        """Free the weights, on the device and in memory."""
        self._loaded = None
        loading.release(self._device)

    def _model(self, name: str) -> Whisper:
        name = canonical(name)
        if self._loaded is None or self._loaded.name != name:
            self.unload()
            self._loaded = _Loaded(name, loading.load(name, self._store.genuine(name), self._device))
        return self._loaded.model


class _Transcription:
    """One recording's way through the model, window by window."""

    def __init__(self, model: Whisper, task: Task) -> None:
        self._model = model
        self._settings = task.settings
        self._context = Context(task)
        self.language = task.settings.language or task.language
        """The language as far as it is known: detected on the first window with speech."""

    def window(self, window: Window, level: float) -> tuple[list[Segment], int]:
        """Return the segments of a window, and how many of its frames are done."""
        if is_silent(window.samples, vad=self._settings.vad):
            return [], window.frames
        heard = hear(self._model, window, level)
        language = self.language or language_of(self._model, heard)
        tokenizer = self._tokenizer(language)
        decoded = decode(
            self._model,
            heard,
            settings=self._settings,
            language=language,
            prompt=self._context.prompt(tokenizer),
            seed=window.start,
        )
        if decoded.is_silence:
            return [], window.frames
        self.language = language
        result = split(
            decoded.tokens,
            timestamp_begin=tokenizer.timestamp_begin,
            end_of_text=tokenizer.eot,
            frames=window.frames,
        )
        advance = result.advance
        if self._settings.word_timestamps:
            place_words(self._model, tokenizer, heard, window, result.drafts, self._context.last_speech)
            advance = _after_last_word(result, window)
        segments = self._segments(result.drafts, tokenizer, window, decoded)
        self._context.add(segments)
        return segments, advance

    def _tokenizer(self, language: str) -> Tokenizer:
        return get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=language,
            task=self._settings.task,
        )

    def _segments(
        self, drafts: list[Draft], tokenizer: Tokenizer, window: Window, decoded: Decoded
    ) -> list[Segment]:
        """Make segments of the drafts that hold text and lie inside the recording."""
        made: list[Segment] = []
        for draft in drafts:
            start, end = (_inside(window, seconds) for seconds in (draft.start, draft.end))
            text = tokenizer.decode(draft.tokens)
            if start < end and text.strip():
                words = None if draft.words is None else [_word(word, start, end) for word in draft.words]
                made.append(
                    Segment(
                        id=self._context.next_id + len(made),
                        start=start,
                        end=end,
                        text=text,
                        avg_logprob=_finite(decoded.avg_logprob),
                        no_speech_prob=_finite(decoded.no_speech_prob),
                        compression_ratio=_finite(decoded.compression_ratio),
                        temperature=_finite(decoded.temperature),
                        words=words,
                    )
                )
        return made


def _after_last_word(result: Split, window: Window) -> int:
    """Return how far the window is done when the words are known: to the end of the last one."""
    if result.ends_in_silence:
        return result.advance
    ends = [word["end"] for draft in result.drafts for word in draft.words or ()]
    frames = round(ends[-1] * FRAMES_PER_SECOND) - window.start if ends else 0
    return min(frames, window.frames) if frames > 0 else result.advance


def _inside(window: Window, seconds: float) -> float:
    """Return a place in the window as one in the recording, no later than the window's end."""
    return round(min(max(window.start_seconds + seconds, 0.0), window.end_seconds), 2)


def _word(word: dict[str, Any], start: float, end: float) -> Word:
    """Return a word, its place bounded by its segment's."""
    begins = min(max(float(word["start"]), start), end)
    ends = min(max(float(word["end"]), begins), end)
    return Word(
        word=str(word["word"]),
        start=round(begins, 2),
        end=round(ends, 2),
        probability=_finite(float(word["probability"])) or 0.0,
    )


def _finite(number: float) -> float | None:
    """Return the number, or None for what JSON cannot say."""
    return number if math.isfinite(number) else None
