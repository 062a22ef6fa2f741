"""Weights of chance in the shape of a published model, to measure speed where the true ones cannot be had.

``python -m benchmarks.engines.random_weights MODEL FILE`` writes a checkpoint. Weights of chance would write until
they may no more, be unsure of it, and try again five times. These write a time stamp, blanks and the end, in
``TOKENS`` tokens for each window, whatever they hear and however they are decoded: the place in the text is made so
loud that nothing else matters for the next token. All else is computed as ever.
"""

import sys
from pathlib import Path
from typing import Final

import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

from benchmarks.engines.weights import TOKENS
from projectw_runner.checkpoints import canonical

_SIZES: Final = {
    "tiny": (384, 6, 4),
    "base": (512, 8, 6),
    "small": (768, 12, 12),
    "medium": (1024, 16, 24),
    "large": (1280, 20, 32),
}
"""Width, attention heads and layers (Radford et al. 2022, table 1)."""

_TURBO_LAYERS: Final = 4
_LOUD: Final = 30.0
_LOGIT: Final = 25.0
_EMBEDDING_DEVIATION: Final = 0.02


def shape(model: str) -> ModelDimensions:
    """Return the dimensions of a published model."""
    name = canonical(model)
    width, heads, layers = _SIZES[name.partition(".")[0].partition("-")[0]]
    third = name.startswith("large-v3")
    return ModelDimensions(
        n_mels=128 if third else 80,
        n_audio_ctx=1500,
        n_audio_state=width,
        n_audio_head=heads,
        n_audio_layer=layers,
        n_vocab=51_864 if name.endswith(".en") else 51_866 if third else 51_865,
        n_text_ctx=448,
        n_text_state=width,
        n_text_head=heads,
        n_text_layer=_TURBO_LAYERS if name.endswith("turbo") else layers,
    )


@torch.no_grad()
def make(model: str) -> Whisper:
    """Return a model of this shape, the same at every call."""
    torch.manual_seed(0)
    made = Whisper(shape(model))
    tokenizer = get_tokenizer(made.is_multilingual, num_languages=made.num_languages, language="en")
    goes_on, ends = (torch.randint(2, (made.dims.n_text_state,)) * 2.0 - 1 for _ in range(2))
    embedding = made.decoder.token_embedding.weight
    embedding.normal_(std=_EMBEDDING_DEVIATION)
    for token, direction in ((tokenizer.encode(" ")[0], goes_on), (tokenizer.eot, ends)):
        embedding[token] = direction * (_LOGIT / made.dims.n_text_state)
    last = len(tokenizer.sot_sequence) - 1 + TOKENS
    made.decoder.positional_embedding[:last] = goes_on * _LOUD
    made.decoder.positional_embedding[last:] = ends * _LOUD
    return made


def write(model: str, path: Path) -> None:
    """Write a checkpoint as OpenAI does: dimensions, and weights in half precision."""
    made = make(model).half()
    torch.save({"dims": vars(made.dims), "model_state_dict": made.state_dict()}, path)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
