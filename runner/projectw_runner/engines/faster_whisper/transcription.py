"""One recording's way through the model, batch by batch."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from projectw_runner.engines import Task
from projectw_runner.engines.faster_whisper.cutting import cut
from projectw_runner.engines.faster_whisper.decoding import (
    Decoded,
    decode,
    features_of,
    finite,
    language_of,
)
from projectw_runner.engines.faster_whisper.windows import Window
from projectw_runner.engines.faster_whisper.words import Passage, passages
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment, Word

_TOO_HOT: Final = 0.5
"""Text that was sampled at a higher temperature than this does not guide the next window."""

_MISSED: Final = 2.5
"""Seconds of speech without a word of which the model is asked once more."""


class Transcription:
    """What is known of one recording so far: its language, and its last segments.

    ``is_one_by_one``: each window is told the text before it, so there is one to a batch. Otherwise each is told the
    job's initial prompt, and what it becomes does not depend on how windows were put together.
    """

    def __init__(self, task: Task, *, is_one_by_one: bool) -> None:
        self._settings = task.settings
        self._is_one_by_one = is_one_by_one
        self._count = task.first
        self._last = deque(task.previous, maxlen=PROMPT_SEGMENTS)
        self._tokenizer: Tokenizer | None = None
        self.language = task.settings.language or task.language
        """The language as far as it is known: detected on the first window with speech."""

    def batch(self, model: WhisperModel, windows: Sequence[Window]) -> list[Segment]:
        """Return the segments of windows that are decoded together."""
        heard = self._hear(model, windows)
        missed = [part for passage in heard for part in _missed(passage)]
        again = [
            passage
            for first in range(0, len(missed), len(windows))
            for passage in self._hear(model, missed[first : first + len(windows)])
            if not passage.decoded.is_doubtful
        ]
        made: list[Segment] = []
        for passage in _in_order(heard, again):
            for words in cut(passage.words):
                made.append(self._segment(words, passage.decoded, self._count + len(made)))
        self._count += len(made)
        self._last.extend(made)
        return made

    def _hear(self, model: WhisperModel, windows: Sequence[Window]) -> list[Passage]:
        """Return what was said in those windows in which something was."""
        if not windows:
            return []
        features = features_of(model, windows)
        encoded = model.encode(features)
        language = self.language or language_of(model, encoded)
        tokenizer = self._tokenizer or Tokenizer(
            model.hf_tokenizer, model.model.is_multilingual, task=self._settings.task, language=language
        )
        prompt = tokenizer.encode(self._prompt())
        decoded = decode(
            model, features, encoded, settings=self._settings, tokenizer=tokenizer, prompt=prompt
        )
        heard = [
            place
            for place, result in enumerate(decoded)
            if not result.is_silence and tokenizer.decode(result.tokens).strip()
        ]
        if not heard:
            return []
        self.language, self._tokenizer = language, tokenizer
        if len(heard) < len(windows):
            encoded = model.encode(features[heard])
        return passages(
            model,
            tokenizer,
            encoded,
            [windows[place] for place in heard],
            [decoded[place] for place in heard],
            self._last_speech,
        )

    @property
    def _last_speech(self) -> float:
        return self._last[-1].end if self._last else 0.0

    def _prompt(self) -> str:
        """Return what the windows are told: the job's own prompt, and what came before if that is known."""
        first = " " + self._settings.initial_prompt.strip() if self._settings.initial_prompt else ""
        if not self._is_one_by_one:
            return first
        trusted: list[str] = []
        for segment in reversed(self._last):
            if (segment.temperature or 0.0) > _TOO_HOT:
                break
            trusted.insert(0, segment.text)
        return (first if len(trusted) == self._count else "") + "".join(trusted)

    def _segment(self, words: list[Word], decoded: Decoded, number: int) -> Segment:
        return Segment(
            id=number,
            start=words[0].start,
            end=words[-1].end,
            text="".join(word.word for word in words),
            avg_logprob=finite(decoded.avg_logprob),
            no_speech_prob=finite(decoded.no_speech_prob),
            compression_ratio=finite(decoded.compression_ratio),
            temperature=decoded.temperature,
            words=words if self._settings.word_timestamps else None,
        )


def _missed(passage: Passage) -> list[Window]:
    """Return the parts of a window in which somebody speaks for seconds and the model wrote nothing.

    It sometimes stops at a long pause, or goes on after a change of speakers as if nothing had been between.
    """
    window = passage.window
    ends = [window.start_seconds, *(word.end for word in passage.words)]
    starts = [*(word.start for word in passage.words), window.end_seconds]
    return [
        window.part(end, start)
        for end, start in zip(ends, starts, strict=True)
        if window.speech(end, start) >= _MISSED
    ]


def _in_order(heard: Sequence[Passage], again: Sequence[Passage]) -> list[Passage]:
    """Put what was heard at the second try into the gaps that were left by the first."""
    ordered: list[Passage] = []
    for passage in heard:
        words = passage.words
        for gap in again:
            if passage.window.start <= gap.window.start < passage.window.start + len(passage.window.samples):
                before = [word for word in words if word.start < gap.window.start_seconds]
                ordered += [replace(passage, words=before), gap]
                words = words[len(before) :]
        ordered.append(replace(passage, words=words))
    return ordered
