"""A checkpoint of OpenAI's as the folder that faster-whisper reads, made here and once; nothing is downloaded.

The layout is that of ``ct2-transformers-converter --quantization float16``; the numbers are those of the checkpoint.
"""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from projectw_runner.checkpoints.official import SHA256

_FORMAT: Final = 1
"""Counted up when what is written changes, so that what an older release wrote is made anew."""

_UNFINISHED: Final = ".making-"
_FORGOTTEN_SECONDS: Final = 24 * 3600
_MANIFEST: Final = "project-w.json"
_WEIGHTS: Final = "model.bin"


def converted(name: str, folder: Path, checkpoint: Callable[[], Path]) -> Path:
    """Return the converted model below ``folder``, made of ``checkpoint`` if it is not there or is damaged.

    ``name`` is canonical; ``checkpoint`` returns the genuine file and is asked only when it is needed. Raises
    ``OSError`` when the folder cannot be written, and what ``checkpoint`` raises.
    """
    target = folder / f"{name}-{SHA256[name][:8]}"
    if _is_whole(target):
        return target
    source = checkpoint()
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_UNFINISHED, ignore_cleanup_errors=True) as place:
        made = Path(place) / target.name
        made.mkdir(mode=0o755)
        convert(name, source, made)
        _seal(made)
        # Another runner that shares the folder may have been first: its work is as good.
        if not _is_whole(target):
            shutil.rmtree(target, ignore_errors=True)
            with contextlib.suppress(OSError):
                made.rename(target)
        if not _is_whole(target):
            raise OSError(f"{target} cannot be replaced")
    return target


def convert(name: str, checkpoint: Path, folder: Path) -> None:
    """Write the model at ``checkpoint`` into ``folder``, its weights in half precision. Imports torch."""
    import torch
    from ctranslate2.specs import WhisperSpec

    from projectw_runner.engines.faster_whisper.vocabulary import vocabulary

    loaded: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    dims: dict[str, int] = loaded["dims"]
    spec = WhisperSpec(dims["n_audio_layer"], dims["n_audio_head"], dims["n_text_layer"], dims["n_text_head"])
    _fill(spec, {key: value.half().numpy() for key, value in loaded["model_state_dict"].items()})
    # Whisper's own rules for what a vocabulary of this size means.
    is_multilingual = dims["n_vocab"] >= 51865
    words = vocabulary(
        is_multilingual=is_multilingual, languages=dims["n_vocab"] - 51765 - int(is_multilingual)
    )
    if len(words.tokens) != dims["n_vocab"]:
        raise ValueError(f"{name} has {dims['n_vocab']} tokens, {len(words.tokens)} are known")
    spec.register_vocabulary(words.tokens)
    spec.config.suppress_ids = words.suppressed
    spec.config.suppress_ids_begin = words.suppressed_first
    spec.config.lang_ids = words.languages
    spec.config.alignment_heads = alignment_heads(name, dims)
    spec.validate()
    spec.optimize(quantization="float16")
    spec.save(str(folder))
    words.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "feature_size": dims["n_mels"],
                "sampling_rate": 16_000,
                "hop_length": 160,
                "chunk_length": 30,
                "n_fft": 400,
            }
        )
    )


def alignment_heads(name: str, dims: dict[str, int]) -> list[list[int]]:
    """Return layer and head of each attention head that follows the words through the audio."""
    import numpy as np
    import whisper

    dump = gzip.decompress(base64.b85decode(whisper._ALIGNMENT_HEADS[name]))
    marked = np.frombuffer(dump, dtype=bool).reshape(dims["n_text_layer"], dims["n_text_head"])
    return [[int(layer), int(head)] for layer, head in np.argwhere(marked)]


def _fill(spec: Any, weights: dict[str, Any]) -> None:
    """Give a ``WhisperSpec`` the weights of OpenAI's names."""
    for conv in ("conv1", "conv2"):
        _put(getattr(spec.encoder, conv), weights, f"encoder.{conv}")
    spec.decoder.embeddings.weight = weights["decoder.token_embedding.weight"]
    spec.decoder.projection.weight = weights["decoder.token_embedding.weight"]
    for side, norm in (("encoder", "ln_post"), ("decoder", "ln")):
        part = getattr(spec, side)
        part.position_encodings.encodings = weights[f"{side}.positional_embedding"]
        _put_norm(part.layer_norm, weights, f"{side}.{norm}")
        for number, layer in enumerate(part.layer):
            block = f"{side}.blocks.{number}"
            _attend(layer.self_attention, weights, block, "attn", (("query", "key", "value"),))
            if side == "decoder":
                _attend(layer.attention, weights, block, "cross_attn", (("query",), ("key", "value")))
            _put_norm(layer.ffn.layer_norm, weights, f"{block}.mlp_ln")
            _put(layer.ffn.linear_0, weights, f"{block}.mlp.0")
            _put(layer.ffn.linear_1, weights, f"{block}.mlp.2")


def _attend(
    spec: Any, weights: dict[str, Any], block: str, kind: str, fused: tuple[tuple[str, ...], ...]
) -> None:
    """Put an attention's projections: CTranslate2 multiplies those of a group at once."""
    import numpy as np

    for linear, group in zip(spec.linear, fused, strict=False):
        parts = [weights[f"{block}.{kind}.{part}.weight"] for part in group]
        # Keys have no bias.
        biases = [
            weights.get(f"{block}.{kind}.{part}.bias", np.zeros(len(weight), weight.dtype))
            for part, weight in zip(group, parts, strict=True)
        ]
        linear.weight = np.concatenate(parts)
        linear.bias = np.concatenate(biases)
    _put(spec.linear[-1], weights, f"{block}.{kind}.out")
    _put_norm(spec.layer_norm, weights, f"{block}.{kind}_ln")


def _put(spec: Any, weights: dict[str, Any], name: str) -> None:
    spec.weight = weights[f"{name}.weight"]
    spec.bias = weights[f"{name}.bias"]


def _put_norm(spec: Any, weights: dict[str, Any], name: str) -> None:
    spec.gamma = weights[f"{name}.weight"]
    spec.beta = weights[f"{name}.bias"]


def _sweep(folder: Path) -> None:
    """Remove what a runner that was killed has left unfinished."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another one has swept it
            if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write down what is there, on disk before the folder gets its name."""
    manifest = {"format": _FORMAT, "sha256": _digest(folder / _WEIGHTS)}
    (folder / _MANIFEST).write_text(json.dumps(manifest))
    for path in folder.iterdir():
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _is_whole(folder: Path) -> bool:
    """Tell whether a folder was sealed by this release and its weights are what they were."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        return bool(manifest == {"format": _FORMAT, "sha256": _digest(folder / _WEIGHTS)})
    except (OSError, ValueError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
