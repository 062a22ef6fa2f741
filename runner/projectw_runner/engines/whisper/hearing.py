"""The encoder's view of a window. Imports torch."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from whisper.audio import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.model import Whisper

from projectw_runner.engines.whisper.windows import WINDOW_FRAMES, Window

_DIGITAL_SILENCE: Final = 1e-4
"""-80 dB of full scale: less than the noise of any microphone, a few steps of 16 bits."""

_RANGE: Final = 2.0
"""80 dB on the scale of the model's input, (log10 + 4) / 4."""

_QUIET: Final = 10 ** (-55 / 20)
_QUIET_FRAME: Final = 480
"""Samples over which loudness is measured, 30 ms."""


@dataclass(frozen=True)
class Heard:
    """A window as the encoder gets it (``mel``: bands × 3000 frames) and what it makes of it (1500 × width)."""

    mel: torch.Tensor
    features: torch.Tensor


def is_silent(samples: NDArray[np.float32], *, vad: bool) -> bool:
    """Tell whether a window holds nothing to hear; with ``vad`` also when nowhere anyone can be speaking."""
    if not len(samples) or float(np.abs(samples).max()) < _DIGITAL_SILENCE:
        return True
    whole = samples[: len(samples) // _QUIET_FRAME * _QUIET_FRAME].reshape(-1, _QUIET_FRAME)
    return vad and len(whole) > 0 and float(np.sqrt((whole**2).mean(axis=1)).max()) < _QUIET


def level_of(model: Whisper, samples: NDArray[np.float32]) -> float:
    """Return the loudest point of the samples' spectrogram, on the scale of the model's input."""
    return float(_mel(model, samples).max())


@torch.no_grad()
def hear(model: Whisper, window: Window, level: float) -> Heard:
    """Encode a window, once for all that is asked of it. ``level``: the loudest point of the recording so far."""
    mel = _mel(model, window.samples).clamp(min=level - _RANGE)
    mel = pad_or_trim(mel[:, : window.frames], WINDOW_FRAMES)
    if is_half(model):
        mel = mel.half()
    return Heard(mel, model.encoder(mel.unsqueeze(0))[0])


def _mel(model: Whisper, samples: NDArray[np.float32]) -> torch.Tensor:
    padding = max(N_SAMPLES - len(samples), 0)
    mel: torch.Tensor = log_mel_spectrogram(
        torch.from_numpy(samples), model.dims.n_mels, padding, device=model.device
    )
    return mel


def is_half(model: Whisper) -> bool:
    """Tell whether the model computes in half precision."""
    return bool(model.encoder.conv1.weight.dtype == torch.float16)


def language_of(model: Whisper, heard: Heard) -> str:
    """Return the code of the language that is most likely spoken."""
    if not model.is_multilingual:
        return "en"
    _, probabilities = model.detect_language(heard.features)
    return str(max(probabilities, key=probabilities.get))
