"""One evil file is read as the runner reads it, and what came of it is told."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.evil.stage import CANARY, FOREIGN_HERTZ, Evil, Stage
from projectw_runner.failures import JobFailure
from projectw_runner.media import Confinement, MediaLimits, open_recording

_RATE: Final = 16_000
_FOREIGN_SHARE: Final = 0.2
"""Of the power in a second, at the victim's pitch. Noise has a hundredth there."""


@dataclass(frozen=True)
class Outcome:
    """What came of one file: the code and the words of its refusal, if any, and of what came before that the length."""

    code: str
    message: str
    retryable: bool
    audio_seconds: float
    is_foreign: bool
    """Somebody else's sound or bytes came out."""
    called: bool
    """A connection was made."""
    seconds: float


def try_evil(evil: Evil, stage: Stage, path: Path, confinement: Confinement) -> Outcome:
    """Put the file at ``path``, read all that comes of it, and remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    evil.put(stage, path)
    try:
        return asyncio.run(_read(path, stage, confinement))
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


async def _read(path: Path, stage: Stage, confinement: Confinement) -> Outcome:
    ears = Ears()
    failure: JobFailure | None = None
    began = time.perf_counter()
    try:
        async with open_recording(
            path, limits=MediaLimits(), ffmpeg=stage.ffmpeg, confinement=confinement
        ) as recording:
            await asyncio.to_thread(_listen, recording.read, ears)
    except JobFailure as refused:
        failure = refused
    return Outcome(
        code=failure.code if failure else "read",
        message=failure.to_error().message if failure else "",
        retryable=bool(failure and failure.retryable),
        audio_seconds=ears.samples / _RATE,
        is_foreign=ears.foreign,
        called=stage.was_called(),
        seconds=time.perf_counter() - began,
    )


def _listen(read: Callable[[int], NDArray[np.float32]], ears: "Ears") -> None:
    while len(samples := read(_RATE)):
        ears.hear(samples)


class Ears:
    """Listens for the victim's tone and words."""

    def __init__(self) -> None:
        self.samples = 0
        self.foreign = False
        self._tail = b""

    def hear_pcm(self, pcm: bytes) -> None:
        """Take samples of 16 bits at 16 kHz, any number."""
        samples = np.frombuffer(pcm, "<i2", len(pcm) // 2).astype(np.float32) / 32768
        for at in range(0, len(samples), _RATE):
            self.hear(samples[at : at + _RATE])

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take up to a second."""
        self.samples += len(samples)
        power = np.square(np.abs(np.fft.rfft(samples, _RATE)))
        total = float(power.sum())
        if total > 1e-3 and power[FOREIGN_HERTZ - 30 : FOREIGN_HERTZ + 30].sum() / total > _FOREIGN_SHARE:
            self.foreign = True
        pcm = self._tail + np.round(samples * 32768).astype("<i2").tobytes()
        self.foreign |= CANARY in pcm
        self._tail = pcm[-len(CANARY) :]
