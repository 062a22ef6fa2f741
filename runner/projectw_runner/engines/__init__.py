"""Engines turn samples into segments. Only this package imports torch, whisper or faster-whisper, and late."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second, mono: what Whisper was trained on."""


class Samples(Protocol):
    """A recording, read once from front to back, so that memory does not grow with its length."""

    def read(self, count: int) -> "NDArray[np.float32]":
        """Return the next ``count`` samples in -1 to 1, fewer at the end, none after it. Blocks."""


@dataclass(frozen=True)
class Task:
    """What an engine is asked to do with one recording.

    The recording's first ``resume_at`` seconds are done: ``first`` segments of them are stored, and ``previous``
    are the last few of those, for the prompt. ``language`` is what an earlier attempt has detected.
    """

    settings: JobSettings = field(default_factory=JobSettings)
    language: str | None = None
    first: int = 0
    resume_at: float = 0.0
    previous: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Step:
    """What one batch of windows brought: final segments, numbered on from those before.

    ``resume_at`` is the position in seconds from which another runner could go on once they are stored.
    """

    segments: tuple[Segment, ...]
    resume_at: float
    language: str | None


class Unsupported(ValueError):
    """This machine cannot do what a setting of the runner asks for; ``setting`` is its name."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(reason)
        self.setting = setting


class Engine(Protocol):
    """A way to transcribe, kept warm between jobs."""

    name: str
    device: str
    """Where it computes, for people: ``cuda:0 (NVIDIA H200)``, ``cpu``."""

    def models(self) -> list[str]:
        """Return the names of the checkpoints that it can load without fetching anything."""

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Yield a step for each batch of windows; a batch takes at most 5 seconds.

        ``samples`` begins at the start of the recording, whatever ``task.resume_at`` says. Runs in a thread; the
        caller closes the iterator between two steps to cancel. Raises ``JobFailure``.
        """

    def unload(self) -> None:
        """Free the weights, on the device and in memory; the next job loads them again."""
