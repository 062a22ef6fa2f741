"""A contender's process, seen from outside."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from benchmarks.engines.messages import (
    Failed,
    Load,
    Loaded,
    Memory,
    Reply,
    Request,
    Taken,
    Transcribe,
    Transcribed,
)
from benchmarks.processes import peak_of

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 10.0


class ContenderFailed(Exception):
    """A contender could not load or transcribe; the message is its reason."""


class Process:
    """Started by ``with``; asked and answered one line at a time."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._decoder = msgspec.json.Decoder(Reply)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engines.child"],
            cwd=_ROOT,
            env=environment(os.environ, self._threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def load(self, request: Load) -> str:
        """Load the model and return where it computes. Raises ``ContenderFailed``."""
        answer = self._ask(request)
        assert isinstance(answer, Loaded)
        return answer.device

    def transcribe(self, path: Path, seconds: float | None = None) -> Transcribed:
        """Transcribe a file of samples, or the first ``seconds`` of it. Raises ``ContenderFailed``."""
        answer = self._ask(Transcribe(str(path), seconds))
        assert isinstance(answer, Transcribed)
        return answer

    def gpu_bytes(self) -> int | None:
        """Return the most memory of the graphics card that was taken, where torch knows."""
        answer = self._ask(Memory())
        assert isinstance(answer, Taken)
        return answer.gpu_bytes

    @property
    def peak_bytes(self) -> int:
        """The most memory that was resident at once, loading included."""
        # Not ru_maxrss: Linux lets that begin with what this process held when it started the other.
        return peak_of(self._process.pid)

    def _ask(self, request: Request) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise ContenderFailed(f"its process ended with status {self._process.wait()}")
        answer: Reply = self._decoder.decode(line)
        if isinstance(answer, Failed):
            raise ContenderFailed(answer.reason)
        return answer

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and what it holds of the memory."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, and what was written to it with it
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def environment(ours: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a contender: the same number of threads for all, else what it sets itself."""
    kept = {name: value for name, value in ours.items() if not name.startswith(("OMP_", "KMP_", "GOMP_"))}
    return {
        **kept,
        # numba's as well: the first words that are placed would bring torch to numba's number of threads.
        **dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads)
        ),
    }
