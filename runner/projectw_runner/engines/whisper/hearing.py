"""What the encoder gets: spectrograms of windows, as long as the longest of them needs. Imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from whisper.audio import log_mel_spectrogram

from projectw_runner.engines import SAMPLE_RATE
from projectw_runner.engines.whisper.windows import FRAME, LONGEST, Window

WHOLE: Final = 3000
"""Frames of the spectrogram that Whisper was trained on, 30 s."""

_LONGEST_OF_WHOLE: Final = 28 * SAMPLE_RATE

_MARGIN: Final = 400
"""Frames of silence behind the longest window. With less than 2 s the model loses its way; with 4 s it writes on 177
English recordings what it writes with all of the 30 s."""

_ROUND: Final = 128
"""Few lengths, so that the kernels that are made for each are few."""


@dataclass(frozen=True)
class View:
    """How much the encoder sees. ``trimmed``: the windows and 4 s; else 30 s always, as in training."""

    trimmed: bool

    @property
    def longest(self) -> int:
        """Samples of the longest window: one that costs 30 s whatever its length had better be nearly that long."""
        return LONGEST if self.trimmed else _LONGEST_OF_WHOLE

    def frames(self, windows: Sequence[Window]) -> int:
        """Return how many frames the spectrograms of these windows have."""
        if not self.trimmed:
            return WHOLE
        longest = max(window.frames for window in windows) + _MARGIN
        return min(longest + -longest % _ROUND, WHOLE)


TRIMMED: Final = View(trimmed=True)
UNTRIMMED: Final = View(trimmed=False)

_MEASURED: Final = ("tiny", "tiny.en", "base", "base.en")


def view_for(model: str) -> View:
    """Return how much of 30 s the encoder of a checkpoint is shown: less only where that was measured to do no harm."""
    return TRIMMED if model in _MEASURED else UNTRIMMED


def spectrograms(windows: Sequence[Window], frames: int, *, bands: int, device: torch.device) -> Tensor:
    """Return windows × bands × frames: each clipped 80 dB below its own loudest point, silence behind its samples."""
    made = []
    for window in windows:
        samples = torch.from_numpy(window.samples[: frames * FRAME])
        padding = max(frames * FRAME - len(samples), 0)
        made.append(log_mel_spectrogram(samples, bands, padding, device=device)[:, :frames])
    return torch.stack(made)
