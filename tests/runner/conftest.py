"""What the runner's tests share: a real checkpoint, real speech, samples from memory."""

import asyncio
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy import recordings
from projectw_runner.checkpoints import CheckpointError, CheckpointStore
from projectw_runner.engines.whisper import calm_threads

calm_threads()  # before any test imports torch


class Held:
    """Samples in memory."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples
        self._position = 0
        self.largest = 0

    def read(self, count: int) -> NDArray[np.float32]:
        piece = self._samples[self._position : self._position + count]
        self._position += len(piece)
        self.largest = max(self.largest, count)
        return piece


@pytest.fixture(scope="session")
def held() -> Callable[[NDArray[np.float32]], Held]:
    """Turn an array into ``Samples``."""
    return Held


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    """The smallest checkpoint, fetched once into the user's cache by the runner's own means."""
    try:
        return asyncio.run(CheckpointStore().pull("tiny.en"))
    except CheckpointError as unreachable:
        pytest.skip(str(unreachable))


@dataclass(frozen=True)
class Spoken:
    """A recording of a person, with what they read."""

    path: Path
    samples: NDArray[np.float32]
    text: str


@pytest.fixture(scope="session")
def librivox() -> list[Spoken]:
    """Five public-domain clips of a LibriVox reader, as samples."""
    try:
        clips = recordings.librivox(recordings.cache())
    except recordings.RecordingsMissing as missing:
        pytest.skip(str(missing))
    return [Spoken(clip.path, _samples(clip.path), clip.text) for clip in clips]


def _samples(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path)) as sound:
        pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return pcm.astype(np.float32) / 32768
