"""What the model writes for a batch of windows, decoded again at a higher temperature where it looks wrong."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens
from numpy.typing import NDArray

from projectw_runner.engines.faster_whisper.windows import Window
from projectw_shared.jobs import JobSettings

# The reference's thresholds (Radford et al. 2022, section 4.5).
_TOO_REPETITIVE: Final = 2.4
_TOO_UNSURE: Final = -1.0
_NO_SPEECH: Final = 0.6

_WARMER: Final = 0.2
_BEST_OF: Final = 5
"""Samples drawn at a temperature above 0, of which the likeliest counts."""

_MAX_TOKENS: Final = 448


@dataclass(frozen=True)
class Decoded:
    """What the model wrote for a window, and how sure it was."""

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


def features_of(model: WhisperModel, windows: Sequence[Window]) -> NDArray[np.float32]:
    """Return the spectrograms of windows, each padded to 30 seconds: windows × bands × 3000."""
    return np.stack([pad_or_trim(model.feature_extractor(window.samples)[..., :-1]) for window in windows])


def language_of(model: WhisperModel, encoded: Any) -> str:
    """Return the code of the language that is most likely spoken in the first window."""
    if not model.model.is_multilingual:
        return "en"
    (token, _), *_ = model.model.detect_language(encoded)[0]
    return str(token[2:-2])


def decode(
    model: WhisperModel,
    features: NDArray[np.float32],
    encoded: Any,
    *,
    settings: JobSettings,
    tokenizer: Tokenizer,
    prompt: list[int],
) -> list[Decoded]:
    """Decode the windows at once; then each doubtful one alone, ever warmer up to 1, until it is not.

    Without time stamps: with them the model often stops at the last sentence that it can end, and leaves the
    rest to a next window that begins there. Where things were said is what the words are aligned for.
    """
    ids = model.get_prompt(tokenizer, prompt, without_timestamps=True)
    decoded = _generate(model, encoded, ids, len(features), tokenizer, settings, settings.temperature)
    for place, result in enumerate(decoded):
        alone = None
        while result.is_doubtful and (warmer := round(result.temperature + _WARMER, 6)) <= 1.0:
            alone = model.encode(features[place : place + 1]) if alone is None else alone
            (result,) = _generate(model, alone, ids, 1, tokenizer, settings, warmer)
        decoded[place] = result
    return decoded


def _generate(
    model: WhisperModel,
    encoded: Any,
    prompt: list[int],
    count: int,
    tokenizer: Tokenizer,
    settings: JobSettings,
    temperature: float,
) -> list[Decoded]:
    how: dict[str, Any] = {"beam_size": settings.beam_size or 1}
    if temperature > 0:
        how = {
            "beam_size": 1,
            "num_hypotheses": _BEST_OF,
            "sampling_topk": 0,
            "sampling_temperature": temperature,
        }
    results = model.model.generate(
        encoded,
        [prompt] * count,
        max_length=_MAX_TOKENS,
        return_scores=True,
        return_no_speech_prob=True,
        suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
        **how,
    )
    return [_decoded(result, tokenizer, temperature) for result in results]


def _decoded(
    result: ctranslate2.models.WhisperGenerationResult, tokenizer: Tokenizer, temperature: float
) -> Decoded:
    tokens = list(result.sequences_ids[0])
    text = tokenizer.decode(tokens).strip().encode()
    return Decoded(
        tokens=tokens,
        # The score is the mean over the tokens; Whisper counts the end of the text as one more.
        avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
        no_speech_prob=result.no_speech_prob,
        compression_ratio=len(text) / len(zlib.compress(text)),
        temperature=temperature,
    )


def finite(number: float) -> float | None:
    """Return the number, or None for what JSON cannot say."""
    return number if math.isfinite(number) else None
