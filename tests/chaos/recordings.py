"""Recordings whose transcript is known beforehand, to the letter, because the fake engine writes it."""

import math
from pathlib import Path

from projectw_runner.engines.fake import SENTENCES, WINDOW_SECONDS
from projectw_shared.transcripts import Segment
from tests.journeys.world import write_sound

HEADER_BYTES = 44
BYTES_PER_SECOND = 16_000


def recording(folder: Path, seconds: float) -> Path:
    """Return a recording of that length, a multiple of 10 ms, made once in ``folder``."""
    path = folder / f"{seconds:g}.wav"
    return path if path.exists() else write_sound(path, seconds)


def length_of(size: int) -> float:
    """Return the seconds of one of these recordings from its size in bytes."""
    return (size - HEADER_BYTES) / BYTES_PER_SECOND


def expected(size: int, temperature: float, *, first: int = 0) -> list[Segment]:
    """Return the segments from number ``first`` on of such a recording, of ``size`` bytes.

    ``temperature`` is that of the job's settings. A run gives each job one of its own, and the engine writes it
    into each segment: so a segment that strayed into another job is seen.
    """
    seconds = length_of(size)
    count = math.ceil(round(seconds / WINDOW_SECONDS, 6))
    return [segment(number, seconds, temperature) for number in range(first, count)]


def segment(number: int, seconds: float, temperature: float) -> Segment:
    """Return one segment as the fake engine makes it of a recording of that length."""
    return Segment(
        id=number,
        start=round(number * WINDOW_SECONDS, 3),
        end=round(min((number + 1) * WINDOW_SECONDS, seconds), 3),
        text=" " + SENTENCES[number % len(SENTENCES)],
        avg_logprob=-0.25,
        no_speech_prob=0.01,
        compression_ratio=1.2,
        temperature=temperature,
    )
