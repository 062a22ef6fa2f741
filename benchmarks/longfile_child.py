"""One transcription in a process of its own, for ``longfile`` and ``silence``: prints what it took as JSON.

``python -m benchmarks.longfile_child FILE MODEL DECODING`` with DECODING ``real``, or ``stubbed`` to leave out the
encoder and the decoder: all else, from ffmpeg to the spectrograms and the segments, is the product's.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import peak_of
from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Engine, Step, Task, registry
from projectw_runner.media import MediaLimits, find_confinement, find_ffmpeg, open_recording
from projectw_shared.jobs import JobSettings


class NoSamples:
    """A recording of no length. Satisfies ``engines.Samples``."""

    def read(self, count: int) -> NDArray[np.float32]:
        return np.zeros(0, np.float32)


async def transcribe(engine: Engine, path: Path, task: Task) -> dict[str, Any]:
    """Transcribe a file as the runner does and return what it took, the model being there already."""
    for _ in engine.transcribe(NoSamples(), task):
        pass
    ffmpeg = find_ffmpeg()
    batches = segments = 0
    text: list[str] = []
    started = time.monotonic()

    def advance(running: Iterator[Step]) -> Step | None:
        return next(running, None)

    async with open_recording(
        path, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=find_confinement(ffmpeg)
    ) as recording:
        running = engine.transcribe(recording, task)
        while (step := await asyncio.to_thread(advance, running)) is not None:
            batches += 1
            segments += len(step.segments)
            if sum(map(len, text)) < 200:
                text += [segment.text for segment in step.segments]
        audio = recording.position
    return {
        "audio_seconds": audio,
        "seconds": time.monotonic() - started,
        "batches": batches,
        "segments": segments,
        "text": "".join(text)[:200],
        "peak_bytes": peak_of(os.getpid()),
    }


def stub_the_model() -> None:
    """Replace the two places where the model computes: each window gives two segments at once."""
    import torch

    from projectw_runner.engines.whisper.decoding import Decoded, Heard, Writer
    from projectw_runner.engines.whisper.encoder import Encoder

    begin = 50_363  # the first time stamp of the English vocabulary
    tokens = [begin, 1002, 1003, begin + 100, begin + 100, 1004, begin + 1500]

    def encode(_: Encoder, spectrograms: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(spectrograms), 1)

    def write(_: Writer, heard: Heard) -> list[Decoded]:
        return [Decoded(tokens, -0.2, 0.01, 1.2, 0.0) for _ in heard.prompts]

    Encoder.__call__ = encode  # type: ignore[assignment, method-assign]
    Writer.first = write  # type: ignore[assignment, method-assign]


def main() -> None:
    """Measure one file."""
    path, model, decoding = sys.argv[1:]
    checkpoint = asyncio.run(CheckpointStore().pull(model))
    engine = registry.create("whisper", device="cpu")  # imports torch in the right order
    if decoding == "stubbed":
        stub_the_model()
    task = Task(JobSettings(model=model, language="en"))
    found = asyncio.run(transcribe(engine, Path(path), task))
    print(json.dumps({**found, "model_bytes": checkpoint.stat().st_size}))


if __name__ == "__main__":
    main()
