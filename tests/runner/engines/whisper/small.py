"""Small stand-ins for what is large: a model of random weights, a vocabulary of few tokens, an ear for loudness."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from whisper.model import ModelDimensions, Whisper

from projectw_runner.engines.whisper.decoding import Decoded
from projectw_runner.engines.whisper.speech import CHUNK

RATE = 16_000

TEXT = 40
"""Tokens of text that the small vocabulary has; the end of the text is the next one."""

TIMES = 60
"""Time stamps that it has."""

VOCABULARY = SimpleNamespace(
    eot=TEXT, no_speech=TEXT + 3, timestamp_begin=TEXT + 6, non_speech_tokens=(3, 4, 17, TEXT + 4)
)


def random_model(seed: int = 1, **dims: int) -> Whisper:
    """Return a model of the small vocabulary, two layers and two heads, that hears something in anything."""
    torch.manual_seed(seed)
    width = dims.pop("width", 32)
    sizes: dict[str, int] = {
        "n_mels": 80,
        "n_audio_ctx": 1500,
        "n_audio_state": width,
        "n_audio_head": 2,
        "n_audio_layer": 2,
        "n_vocab": VOCABULARY.timestamp_begin + TIMES,
        "n_text_ctx": 64,
        "n_text_state": width,
        "n_text_head": 2,
        "n_text_layer": 2,
    }
    model = Whisper(ModelDimensions(**{**sizes, **dims}))
    with torch.no_grad():
        model.decoder.positional_embedding.normal_(std=0.5)
        model.decoder.token_embedding.weight.normal_(std=0.3)
        for block in model.decoder.blocks:
            block.cross_attn.value.weight.mul_(8)
    return model.requires_grad_(False).eval()


def decoded(
    temperature: float = 0.0,
    *,
    tokens: list[int] | None = None,
    logprob: float = -0.3,
    repeats: float = 1.2,
    silence: float = 0.1,
) -> Decoded:
    """Return what a model has written, good unless the numbers say otherwise."""
    return Decoded(tokens or [], logprob, silence, repeats, temperature)


class Loudness:
    """Judges a chunk by its loudest sample, whatever came before."""

    def listen(self, samples: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a probability for each chunk, as ``speech.SpeechDetector`` does."""
        whole: Any = np.concatenate([samples, np.zeros(-len(samples) % CHUNK, np.float32)])
        return np.asarray(np.abs(whole.reshape(-1, CHUNK)).max(1), np.float32)
