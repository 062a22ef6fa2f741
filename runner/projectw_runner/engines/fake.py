"""An engine without a model: fixed text at a chosen speed, to try the system without weights and to test it."""

import threading
from collections.abc import Iterator
from typing import Final

from projectw_runner.engines import SAMPLE_RATE, Samples, Step, Task
from projectw_runner.engines.faults import Mischief
from projectw_shared.jobs import MODELS
from projectw_shared.transcripts import Segment, Word

SENTENCES: Final = (
    "This text was not spoken.",
    "It comes from the fake engine, which listens to nothing.",
    "Install the weights of a real model to read what was said.",
)

WINDOW_SECONDS: Final = 5.0


class FakeEngine:
    """Yields one segment for every 5 seconds of audio, whatever is said in them.

    ``speed``: seconds of audio a second, None for as fast as the samples come. ``mischief`` goes wrong on purpose.
    """

    name = "fake"
    device = "none"

    def __init__(
        self,
        *,
        speed: float | None = None,
        window_seconds: float = WINDOW_SECONDS,
        mischief: Mischief | None = None,
    ) -> None:
        self._speed = speed
        self._mischief = mischief or Mischief()
        self._window = round(window_seconds * SAMPLE_RATE)

    def models(self) -> list[str]:
        """Return every name there is: it does without the weights of them all."""
        return list(MODELS)

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Yield a step for each window, numbered and timed as a real engine would."""
        language = task.settings.language or task.language or "en"
        position = _skip(samples, round(task.resume_at * SAMPLE_RATE))
        number = task.first
        self._mischief.meet("start", task)
        while count := len(samples.read(self._window)):
            self._take_time(count / SAMPLE_RATE)
            start, position = position, position + count
            segment = _segment(number, start / SAMPLE_RATE, position / SAMPLE_RATE, task)
            if number > task.first:
                self._mischief.meet("between", task)
            yield Step((segment,), segment.end, language)
            number += 1
        self._mischief.meet("end", task)

    def unload(self) -> None:
        """Do nothing: there are no weights."""

    def _take_time(self, seconds: float) -> None:
        if self._speed is not None:
            threading.Event().wait(seconds / self._speed)


def _skip(samples: Samples, count: int) -> int:
    skipped = 0
    while skipped < count and (read := len(samples.read(min(count - skipped, 30 * SAMPLE_RATE)))):
        skipped += read
    return skipped


def _segment(number: int, start: float, end: float, task: Task) -> Segment:
    text = " " + SENTENCES[number % len(SENTENCES)]
    return Segment(
        id=number,
        start=round(start, 3),
        end=round(end, 3),
        text=text,
        avg_logprob=-0.25,
        no_speech_prob=0.01,
        compression_ratio=1.2,
        temperature=task.settings.temperature,
        words=_words(text, start, end) if task.settings.word_timestamps else None,
    )


def _words(text: str, start: float, end: float) -> list[Word]:
    words = text.split()
    step = (end - start) / len(words)
    return [
        Word(
            word=f" {word}",
            start=round(start + n * step, 3),
            end=round(start + (n + 1) * step, 3),
            probability=0.9,
        )
        for n, word in enumerate(words)
    ]
