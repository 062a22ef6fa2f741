"""How loud a recording has been, so that a quiet window is not taken for a loud one."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.engines import SAMPLE_RATE, Samples

BLOCK: Final = 30 * SAMPLE_RATE


class Levelled:
    """Samples of which the loudest part so far is known. Satisfies ``Samples``.

    Whisper clips each spectrogram at 80 dB below its own loudest point; the reference knows the whole recording,
    we what was read. The source is read in blocks of 30 seconds from its start, so that the level at a window
    is the same whether the work began before it or at it. ``measure`` gives the level of a block.
    """

    def __init__(self, samples: Samples, measure: Callable[[NDArray[np.float32]], float]) -> None:
        self._samples = samples
        self._measure = measure
        self._held = np.zeros(0, np.float32)
        self.level = -np.inf

    def read(self, count: int) -> NDArray[np.float32]:
        """Return the next ``count`` samples, fewer at the end."""
        while len(self._held) < count and len(block := self._samples.read(BLOCK)):
            self.level = max(self.level, self._measure(block))
            self._held = np.concatenate([self._held, block])
        piece, self._held = self._held[:count].copy(), self._held[count:].copy()
        return piece
