"""Weights on a device. Imports torch: import it late, after ``calm_threads``."""

import contextlib
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import whisper
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

from projectw_runner.engines.whisper.attention import widen_cross_attention
from projectw_runner.failures import JobFailure


def choose_device(wish: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:1``. Raises ``ValueError`` for another one."""
    if wish == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as unknown:
        raise ValueError(f"{wish!r} is no device; use auto, cpu, cuda or cuda:1") from unknown
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {wish}: torch sees {torch.cuda.device_count()} CUDA devices")
    return torch.device("cuda", 0) if device.type == "cuda" and device.index is None else device


def describe_device(device: torch.device) -> str:
    """Say for people where the work is done: ``cuda:0 (NVIDIA H200)``, ``cpu (8 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def load(name: str, path: Path, device: torch.device) -> Whisper:
    """Load a checkpoint. On CUDA in half precision, cast once: the results are the same, the memory is half."""
    with memory_failures(device):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model = Whisper(ModelDimensions(**checkpoint["dims"]))
        model.load_state_dict(checkpoint["model_state_dict"])
        model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
        if device.type == "cuda":
            halve(model)
        widen_cross_attention(model)
        model.requires_grad_(False)
        read_vocabulary(model.is_multilingual, model.num_languages)
        return model.eval().to(device)


def read_vocabulary(is_multilingual: bool, num_languages: int) -> None:
    """Read the tokenizer's vocabulary, which whisper then keeps; it forgets to close the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        get_tokenizer(is_multilingual, num_languages=num_languages)


def halve(model: Whisper) -> None:
    """Cast to half precision what Whisper itself would cast at every call; its norms compute in single."""
    for part in model.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Embedding)):
            part.half()


def release(device: torch.device) -> None:
    """Give the memory of what was dropped back to the device and the system."""
    gc.collect()
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
        if "allocate memory" not in str(problem) and "out of memory" not in str(problem):
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
