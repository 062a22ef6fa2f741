"""One transcription in a process of its own, for ``longfile``: prints its peak memory as JSON.

``python -m benchmarks.longfile_child FILE MODEL DECODE`` with DECODE ``real``, or ``stubbed`` to leave out the
encoder and the decoder: all else, from ffmpeg to the spectrogram and the segments, is the product's.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Step, Task, registry
from projectw_runner.media import MediaLimits, find_confinement, find_ffmpeg, open_recording
from projectw_shared.jobs import JobSettings


async def transcribe(path: Path, model: str) -> dict[str, Any]:
    """Transcribe a file as the runner does and return what it took."""
    ffmpeg = find_ffmpeg()
    engine = registry.create("whisper", device="cpu")
    started = time.monotonic()
    steps = segments = 0

    def advance(running: Iterator[Step]) -> Step | None:
        return next(running, None)

    async with open_recording(
        path, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=find_confinement(ffmpeg)
    ) as recording:
        running = engine.transcribe(recording, Task(JobSettings(model=model, language="en")))
        while (step := await asyncio.to_thread(advance, running)) is not None:
            steps += 1
            segments += len(step.segments)
        audio = recording.position
    return {
        "audio_seconds": audio,
        "seconds": time.monotonic() - started,
        "windows": steps,
        "segments": segments,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def stub_the_model() -> None:
    """Replace the two places where the model computes: each window gives two segments at once."""
    registry.create("whisper", device="cpu")  # imports torch in the right order
    import torch

    from projectw_runner.engines.whisper import engine, hearing
    from projectw_runner.engines.whisper.decoding import Decoded

    nothing = torch.zeros(1)

    def hear(model: Any, window: Any, level: float) -> hearing.Heard:
        return hearing.Heard(nothing, nothing)

    def decode(*_: Any, **__: Any) -> Decoded:
        begin = 50_363  # the first time stamp of the English vocabulary
        tokens = [begin, 1002, 1003, begin + 700, begin + 700, 1004, begin + 1500]
        return Decoded(tokens, -0.2, 0.01, 1.2, 0.0)

    engine.hear, engine.decode = hear, decode  # type: ignore[attr-defined]


def main() -> None:
    """Measure one file."""
    path, model, decoding = sys.argv[1:]
    asyncio.run(CheckpointStore().pull(model))
    if decoding == "stubbed":
        stub_the_model()
    print(json.dumps(asyncio.run(transcribe(Path(path), model))))


if __name__ == "__main__":
    main()
