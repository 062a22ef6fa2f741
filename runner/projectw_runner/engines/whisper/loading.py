"""Weights on a device. Imports torch: import it late, after ``calm_threads``."""

import contextlib
import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import whisper
from torch import Tensor
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from projectw_runner.engines import Unsupported
from projectw_runner.engines.whisper import give_back_memory
from projectw_runner.engines.whisper.arithmetic import choose
from projectw_runner.engines.whisper.decoder import Decoder
from projectw_runner.engines.whisper.encoder import Encoder
from projectw_runner.engines.whisper.hearing import View, view_for
from projectw_runner.failures import JobFailure

_FULL: Final = ("allocate memory", "out of memory", "ALLOC_FAILED")
"""What torch and the libraries below it say of a lack of memory."""

_MULTILINGUAL: Final = 51_865
"""Entries of the smallest vocabulary for many languages; that for English alone has one less."""


@dataclass(frozen=True)
class Network:
    """A checkpoint on a device, ready to compute."""

    name: str
    dims: ModelDimensions
    device: torch.device
    encoder: Encoder
    decoder: Decoder
    alignment_heads: Tensor
    """Pairs of layer and head that look where a word is spoken."""
    view: View
    parameters: int

    @property
    def is_multilingual(self) -> bool:
        """It knows other languages than English."""
        return bool(self.dims.n_vocab >= _MULTILINGUAL)

    @property
    def num_languages(self) -> int:
        """How many languages its vocabulary names."""
        return int(self.dims.n_vocab) - _MULTILINGUAL + 100 - int(self.is_multilingual)

    def tokenizer(self, language: str, task: str) -> Tokenizer:
        """Return the tokenizer that begins as the model expects for a language and a task."""
        return get_tokenizer(
            self.is_multilingual, num_languages=self.num_languages, language=language, task=task
        )

    def window_bytes(self, width: int) -> int:
        """Return what a window takes in memory while it is decoded; ``width``: sequences written for it."""
        dims, size = self.dims, 4 if self.device.type == "cpu" else 2
        read = dims.n_audio_ctx * dims.n_audio_state * (4 + 2 * dims.n_text_layer)
        written = 2 * dims.n_text_layer * dims.n_text_ctx * dims.n_text_state * width
        spread = 4 * dims.n_vocab * width
        return int(size * (read + written + spread))


def choose_device(wish: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:1``. Raises ``Unsupported`` for another one."""
    if wish == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as unknown:
        raise Unsupported("device", f"{wish!r} is no device; use auto, cpu, cuda or cuda:1") from unknown
    if device.type not in ("cpu", "cuda"):
        raise Unsupported(
            "device", f"{wish} is a device that this engine does not know; use auto, cpu, cuda or cuda:1"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise Unsupported(
            "device", f"there is no device {wish}: torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return torch.device("cuda", 0) if device.type == "cuda" and device.index is None else device


def describe_device(device: torch.device) -> str:
    """Say for people where the work is done: ``cuda:0 (NVIDIA H200)``, ``cpu (8 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def load(name: str, path: Path, device: torch.device, precision: str) -> Network:
    """Load a checkpoint, in the arithmetic that ``precision`` names or that is quickest. Raises ``JobFailure``."""
    with memory_failures(device):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model = Whisper(ModelDimensions(**checkpoint["dims"]))
        model.load_state_dict(checkpoint["model_state_dict"])
        model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
        return network_of(model.requires_grad_(False).eval(), name, device, precision)


def network_of(model: Whisper, name: str, device: torch.device, precision: str) -> Network:
    """Return a model ready to compute on a device; what of its weights is not needed any more is freed."""
    arithmetic = choose(precision, device, model.dims.n_audio_state)
    if device.type != "cpu":
        cast(model, arithmetic.stream)
    model.to(device)
    network = Network(
        name=name,
        dims=model.dims,
        device=device,
        encoder=Encoder(model, arithmetic),
        decoder=Decoder(model, arithmetic),
        # Sparse tensors are slow to ask, and not for every device.
        alignment_heads=model.alignment_heads.cpu().to_dense().nonzero(),
        view=view_for(name),
        parameters=sum(weight.numel() for weight in model.parameters()),
    )
    read_vocabulary(network.is_multilingual, network.num_languages)
    return network


def read_vocabulary(is_multilingual: bool, num_languages: int) -> None:
    """Read the tokenizer's vocabulary, which whisper then keeps; it forgets to close the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        get_tokenizer(is_multilingual, num_languages=num_languages)


def cast(model: Whisper, dtype: torch.dtype) -> None:
    """Cast once what Whisper itself would cast at every call; its norms compute in single precision."""
    for part in model.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Embedding)):
            part.to(dtype)


def free_memory(device: torch.device) -> int:
    """Return the bytes of a card that can be had, those included that torch has kept for the next use."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def release(device: torch.device) -> None:
    """Give the memory of what was dropped back to the device and the system."""
    gc.collect()
    give_back_memory()
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()


@contextlib.contextmanager
def memory_failures(device: torch.device) -> Iterator[None]:
    """Turn a lack of memory into a ``JobFailure`` with the code ``out-of-memory``."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as full:
        raise _out_of_memory(device) from full
    except RuntimeError as problem:
        if not any(sign in str(problem) for sign in _FULL):
            raise
        raise _out_of_memory(device) from problem


def _out_of_memory(device: torch.device) -> JobFailure:
    where = "The graphics card" if device.type == "cuda" else "The machine"
    return JobFailure(
        "out-of-memory",
        f"{where} of this runner has not enough free memory for this model; another runner, a later time or a "
        "smaller model may do it.",
        retryable=True,
    )
