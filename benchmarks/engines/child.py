"""One contender in a process of its own, so that its memory is its own: answers each line of JSON with another.

``python -m benchmarks.engines.child``; what the engines print goes to standard error.
"""

import os
import resource
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.engines import contenders, transcribers
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
from projectw_runner.engines import SAMPLE_RATE


class Answering:
    """Holds the engine between the questions."""

    def __init__(self) -> None:
        self._engine: transcribers.Transcriber | None = None

    def answer(self, request: Request) -> Reply:
        """Do what is asked; whatever goes wrong with an engine is an answer too."""
        try:
            match request:
                case Load():
                    self._engine = transcribers.make(contenders.parse(request.contender), request)
                    return Loaded(self._engine.device)
                case Transcribe():
                    return self._transcribe(request)
                case Memory():
                    return Taken(self._ready().gpu_bytes())
        except Exception as problem:  # noqa: BLE001  engines of others raise what they like
            return Failed(f"{type(problem).__name__}: {problem}".strip().splitlines()[-1])

    def _ready(self) -> transcribers.Transcriber:
        if self._engine is None:
            raise RuntimeError("no engine is loaded")
        return self._engine

    def _transcribe(self, request: Transcribe) -> Transcribed:
        engine = self._ready()
        samples = np.load(Path(request.path))
        if request.seconds is not None:
            samples = samples[: round(request.seconds * SAMPLE_RATE)]
        engine.prepare(samples)
        before, wall, cpu = engine.tokens, time.perf_counter(), cpu_seconds()
        text = engine.transcribe(samples)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        return Transcribed(text, wall, cpu, engine.tokens - before)


def cpu_seconds() -> float:
    """Return what the processor has done for this process so far, in all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Answer until the other end closes."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    answering = Answering()
    decoder = msgspec.json.Decoder(Request)
    for line in sys.stdin.buffer:
        answers.write(msgspec.json.encode(answering.answer(decoder.decode(line))) + b"\n")


if __name__ == "__main__":
    main()
