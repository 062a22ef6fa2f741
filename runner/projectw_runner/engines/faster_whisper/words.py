"""The words of decoded windows, placed in the recording by the decoder's attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from projectw_runner.engines.faster_whisper.decoding import Decoded, finite
from projectw_runner.engines.faster_whisper.windows import Window
from projectw_shared.transcripts import Word

_TIME_STEP: Final = 0.02

_BEFORE: Final = "\"'“¿([{-"
_AFTER: Final = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word after, or before, them: faster-whisper's own defaults."""


@dataclass(frozen=True)
class Passage:
    """What was said in a window, or in a part of it."""

    window: Window
    decoded: Decoded
    words: list[Word]


def passages(
    model: WhisperModel,
    tokenizer: Tokenizer,
    encoded: Any,
    windows: Sequence[Window],
    decoded: Sequence[Decoded],
    last_speech: float,
) -> list[Passage]:
    """Return what was said in each window, with the place of each word.

    ``last_speech``: where in the recording the last words before these windows have ended, in seconds.
    """
    texts: list[list[dict[str, Any]]] = [
        [
            {
                "seek": round(window.start_seconds * model.frames_per_second),
                "start": window.start_seconds,
                "end": window.end_seconds,
                "tokens": result.tokens,
            }
        ]
        for window, result in zip(windows, decoded, strict=True)
    ]
    frames = [window.frames for window in windows]
    model.add_word_timestamps(texts, tokenizer, encoded, frames, _BEFORE, _AFTER, last_speech)
    return [
        Passage(
            window,
            result,
            _placed(text["words"], window) or [_whole(tokenizer.decode(text["tokens"]), window)],
        )
        for (text,), window, result in zip(texts, windows, decoded, strict=True)
    ]


def _placed(words: Sequence[dict[str, Any]], window: Window) -> list[Word]:
    """Return the words in their order, each inside the window and not shorter than the model's step of time."""
    placed = []
    earliest = window.start_seconds
    for word in words:
        start = min(max(float(word["start"]), earliest), window.end_seconds - _TIME_STEP)
        end = min(max(float(word["end"]), start + _TIME_STEP), window.end_seconds)
        probability = finite(float(word["probability"])) or 0.0
        placed.append(Word(str(word["word"]), round(start, 2), round(end, 2), round(probability, 4)))
        earliest = start
    return placed


def _whole(text: str, window: Window) -> Word:
    """Return as one word what could not be placed."""
    return Word(text, round(window.start_seconds, 2), round(window.end_seconds, 2), 0.0)
