"""What the model is told of what came before: a function of the last segments alone.

The loop keeps no other memory from window to window, so that a transcript which another runner goes on with, from
the stored segments, is the one that the first would have made.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from projectw_runner.engines import Task
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment

if TYPE_CHECKING:
    from whisper.tokenizer import Tokenizer

_TOO_HOT: Final = 0.5
"""Text that was sampled at a higher temperature than this does not guide the next window."""

_TIME_PRECISION: Final = 0.02
_LAST_TIME: Final = 1500


class Context:
    """The last segments of a transcript, as those of ``task`` and then those that are added."""

    def __init__(self, task: Task) -> None:
        self._first_prompt = task.settings.initial_prompt
        self._count = task.first
        self._last = deque(task.previous, maxlen=PROMPT_SEGMENTS)

    @property
    def next_id(self) -> int:
        """The number of the next segment."""
        return self._count

    @property
    def last_speech(self) -> float:
        """Where the last words have ended, in seconds."""
        return self._last[-1].end if self._last else 0.0

    def add(self, segments: Iterable[Segment]) -> None:
        """Remember what a window has brought."""
        for segment in segments:
            self._last.append(segment)
            self._count += 1

    def prompt(self, tokenizer: "Tokenizer") -> list[int]:
        """Return the tokens of what came before, with their time stamps, as the model itself wrote them."""
        trusted = self._trusted()
        tokens = [token for window in _windows(trusted) for token in _tokens(window, tokenizer)]
        if self._first_prompt and len(trusted) == self._count:
            tokens = encode(tokenizer, " " + self._first_prompt.strip()) + tokens
        return tokens

    def _trusted(self) -> list[Segment]:
        trusted: list[Segment] = []
        for segment in reversed(self._last):
            if (segment.temperature or 0.0) > _TOO_HOT:
                break
            trusted.insert(0, segment)
        return trusted


def encode(tokenizer: "Tokenizer", text: str) -> list[int]:
    """Return the tokens of ``text``. What looks like one of the model's control tokens is text like any other."""
    tokens: list[int] = tokenizer.encode(text, disallowed_special=())
    return tokens


def _windows(segments: Sequence[Segment]) -> Iterable[list[Segment]]:
    """Group the segments that came out of one window: they share the numbers that were measured on it."""

    def measured(segment: Segment) -> tuple[Any, ...]:
        return segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio, segment.temperature

    for _, group in groupby(segments, measured):
        yield list(group)


def _tokens(window: list[Segment], tokenizer: "Tokenizer") -> list[int]:
    """Write segments as the model does: each between two time stamps, counted from where the window begins.

    Where it began is not kept; a window nearly always begins with its first segment.
    """
    begin = window[0].start
    tokens = []
    for segment in window:
        start, end = (_time(second - begin) for second in (segment.start, segment.end))
        tokens += [
            tokenizer.timestamp_begin + start,
            *encode(tokenizer, segment.text),
            tokenizer.timestamp_begin + end,
        ]
    return tokens


def _time(seconds: float) -> int:
    return min(max(round(seconds / _TIME_PRECISION), 0), _LAST_TIME)
