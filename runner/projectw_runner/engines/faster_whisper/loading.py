"""Weights on a device. Imports CTranslate2."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ctranslate2
from faster_whisper import WhisperModel

from projectw_runner.engines import Unsupported
from projectw_runner.failures import JobFailure

_COMPUTE_TYPES: Final = {
    "cpu": {"auto": ("int8", "float32"), "int8": ("int8",)},
    "cuda": {"auto": ("float16", "int8_float16", "float32"), "int8": ("int8_float16", "int8")},
}
"""What CTranslate2 calls a precision, the best first; other names are its own."""

_FULL: Final = ("out of memory", "allocate memory", "bad_alloc", "ALLOC_FAILED", "cudaErrorMemoryAllocation")


def choose_device(wish: str) -> tuple[str, int]:
    """Return kind and number for ``auto``, ``cpu``, ``cuda`` or ``cuda:1``. Raises ``Unsupported`` for another one."""
    here = ctranslate2.get_cuda_device_count()
    if wish == "auto":
        return ("cuda" if here else "cpu"), 0
    kind, _, number = wish.partition(":")
    if kind not in ("cpu", "cuda") or not (number or "0").isdecimal():
        raise Unsupported("device", f"{wish!r} is no device; use auto, cpu, cuda or cuda:1")
    if kind == "cuda" and int(number or 0) >= here:
        raise Unsupported("device", f"there is no device {wish}: CTranslate2 sees {here} CUDA devices")
    return kind, int(number or 0) if kind == "cuda" else 0


def compute_type(precision: str, kind: str, number: int) -> str:
    """Return CTranslate2's name for a precision. Raises ``Unsupported`` when the device cannot compute with it."""
    possible = ctranslate2.get_supported_compute_types(kind, number)
    for name in _COMPUTE_TYPES[kind].get(precision, (precision,)):
        if name in possible:
            return name
    where = "the CPU" if kind == "cpu" else f"{kind}:{number}"
    raise Unsupported("precision", f"{where} cannot compute with {precision}; auto chooses one that it can")


def describe_device(kind: str, number: int, compute: str) -> str:
    """Say for people where the work is done, and how: ``cuda:0 (float16)``, ``cpu (int8)``."""
    return f"cuda:{number} ({compute})" if kind == "cuda" else f"cpu ({compute})"


def load(folder: Path, kind: str, number: int, compute: str, threads: int | None) -> WhisperModel:
    """Load a converted model. Raises ``JobFailure``: ``out-of-memory``."""
    with memory_failures(kind):
        model = WhisperModel(
            str(folder),
            device=kind,
            device_index=number,
            compute_type=compute,
            cpu_threads=threads or 0,
            local_files_only=True,
        )
    # What looks like one of the model's control tokens in a prompt is text like any other.
    model.hf_tokenizer.encode_special_tokens = True
    return model


def release() -> None:
    """Give the memory of what was dropped back."""
    gc.collect()


@contextlib.contextmanager
def memory_failures(kind: str) -> Iterator[None]:
    """Turn a lack of memory into a ``JobFailure`` with the code ``out-of-memory``."""
    try:
        yield
    except MemoryError as full:
        raise _out_of_memory(kind) from full
    except RuntimeError as problem:
        if not any(sign in str(problem) for sign in _FULL):
            raise
        raise _out_of_memory(kind) from problem


def _out_of_memory(kind: str) -> JobFailure:
    where = "The graphics card" if kind == "cuda" else "The machine"
    return JobFailure(
        "out-of-memory",
        f"{where} of this runner has not enough free memory for this model; another runner, a later time or a "
        "smaller model may do it.",
        retryable=True,
    )
