"""A recording in windows of 30 seconds, each cut where the one before has ended."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.engines import SAMPLE_RATE, Samples

FRAME: Final = 160
"""Samples of one frame of the spectrogram, 10 ms."""

FRAMES_PER_SECOND: Final = SAMPLE_RATE // FRAME
WINDOW_FRAMES: Final = 30 * FRAMES_PER_SECOND

_LEAST_FRAMES: Final = 10
"""A rest of less than 0.1 s holds no word, and Whisper would invent one."""


@dataclass(frozen=True)
class Window:
    """``frames`` frames of the recording from ``start``, both counted in frames of 10 ms."""

    samples: NDArray[np.float32]
    start: int
    frames: int

    @property
    def start_seconds(self) -> float:
        """Where the window begins."""
        return self.start / FRAMES_PER_SECOND

    @property
    def end_seconds(self) -> float:
        """Where the window, or the recording in it, ends."""
        return (self.start + self.frames) / FRAMES_PER_SECOND

    @property
    def seconds(self) -> float:
        """How much of the recording it holds."""
        return self.frames / FRAMES_PER_SECOND


class Windows:
    """The samples from ``start_seconds`` on; holds one window, however long the recording is."""

    def __init__(self, samples: Samples, start_seconds: float = 0.0) -> None:
        self._samples = samples
        self._start = round(start_seconds * FRAMES_PER_SECOND)
        self._held = np.zeros(0, np.float32)
        self._skip(self._start * FRAME)

    def current(self) -> Window | None:
        """Return the window that begins where the last ``advance`` has led, None at the end."""
        missing = WINDOW_FRAMES * FRAME - len(self._held)
        if missing > 0:
            self._held = np.concatenate([self._held, self._samples.read(missing)])
        frames = len(self._held) // FRAME
        if frames < _LEAST_FRAMES:
            return None
        return Window(self._held[: frames * FRAME], self._start, frames)

    def advance(self, frames: int) -> None:
        """Let the next window begin ``frames`` further on."""
        self._start += frames
        beyond = frames * FRAME - len(self._held)
        # A copy: a view would keep the old window alive.
        self._held = self._held[frames * FRAME :].copy()
        self._skip(beyond)

    def _skip(self, count: int) -> None:
        while count > 0 and (read := len(self._samples.read(min(count, WINDOW_FRAMES * FRAME)))):
            count -= read
