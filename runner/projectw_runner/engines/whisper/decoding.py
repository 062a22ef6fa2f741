"""Tokens of a window, decoded again at a higher temperature when they look wrong. Imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import whisper
from whisper.model import Whisper

from projectw_runner.engines.whisper.hearing import Heard, is_half
from projectw_shared.jobs import JobSettings

# The reference's thresholds (Radford et al. 2022, section 4.5).
_TOO_REPETITIVE: Final = 2.4
_TOO_UNSURE: Final = -1.0
_NO_SPEECH: Final = 0.6

_WARMER: Final = 0.2
_BEST_OF: Final = 5
"""Samples drawn at a temperature above 0, of which the likeliest counts."""


@dataclass(frozen=True)
class Decoded:
    """What the model wrote for a window: tokens, time stamps among them, and how sure it was."""

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float

    @property
    def is_silence(self) -> bool:
        """The model heard no speech, and is not sure of what it wrote all the same."""
        return self.no_speech_prob > _NO_SPEECH and self.avg_logprob <= _TOO_UNSURE

    @property
    def is_doubtful(self) -> bool:
        """Another try at a higher temperature may bring something better."""
        unsure = self.avg_logprob < _TOO_UNSURE
        if unsure and self.no_speech_prob > _NO_SPEECH:
            return False
        return unsure or self.compression_ratio > _TOO_REPETITIVE


def decode(
    model: Whisper, heard: Heard, *, settings: JobSettings, language: str, prompt: list[int], seed: int
) -> Decoded:
    """Decode a window as ``settings`` ask. The same ``seed`` brings the same text, at any temperature."""

    def once(temperature: float) -> Decoded:
        torch.manual_seed(seed)
        options = whisper.DecodingOptions(
            task=settings.task,
            language=language,
            temperature=temperature,
            beam_size=settings.beam_size if temperature == 0 else None,
            best_of=_BEST_OF if temperature > 0 else None,
            prompt=prompt,
            fp16=is_half(model),
        )
        result = whisper.decode(model, heard.features, options)
        return Decoded(
            tokens=list(result.tokens),
            avg_logprob=float(result.avg_logprob),
            no_speech_prob=float(result.no_speech_prob),
            compression_ratio=float(result.compression_ratio),
            temperature=temperature,
        )

    return with_fallback(once, settings.temperature)


def with_fallback(once: Callable[[float], Decoded], temperature: float) -> Decoded:
    """Decode at ``temperature``, then ever warmer up to 1, until the result is not doubtful; the last one counts."""
    decoded = once(temperature)
    while decoded.is_doubtful and (warmer := round(decoded.temperature + _WARMER, 6)) <= 1.0:
        decoded = once(warmer)
    return decoded
