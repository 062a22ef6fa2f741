"""The runner's own program, which notes when its engine computes and what lies between, for ``gap``.

``python -m benchmarks.gap_runner FILE ARGUMENTS…``: one JSON line an event, ``[name, seconds]``, by the clock that all
processes of a machine share (CLOCK_MONOTONIC).
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from projectw_runner import cli
from projectw_runner.client import RunnerClient
from projectw_runner.delivery import Delivery
from projectw_runner.engines import Engine, Samples, Step, Task, registry

Note = Callable[[str], None]


class NotedSamples:
    """Samples of which the first are noted: when they are asked for and when they are there."""

    def __init__(self, samples: Samples, note: Note) -> None:
        self._samples = samples
        self._note: Note | None = note

    def read(self, count: int) -> NDArray[np.float32]:
        """Pass on."""
        note, self._note = self._note, None
        if note:
            note("reading")
        piece = self._samples.read(count)
        if note:
            note("samples")
        return piece


class NotedEngine:
    """An engine of which it is noted when it reads first and when it is through."""

    def __init__(self, engine: Engine, note: Note) -> None:
        self._engine = engine
        self._note = note
        self.name, self.device = engine.name, engine.device
        self.models, self.unload = engine.models, engine.unload

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Pass on."""
        yield from self._engine.transcribe(NotedSamples(samples, self._note), task)
        self._note("computed")


def note_into(file: Path) -> None:
    """Note everything that is of interest, in the classes themselves."""
    out = file.open("a", buffering=1)

    def note(name: str) -> None:
        out.write(json.dumps([name, time.monotonic()]) + "\n")

    create, fetch, deliver = registry.create, RunnerClient.fetch_audio, Delivery.deliver

    def noted_create(*arguments: Any, **options: Any) -> Engine:
        return NotedEngine(create(*arguments, **options), note)

    async def noted_fetch(*arguments: Any) -> None:
        note("assigned")
        await fetch(*arguments)
        note("fetched")

    async def noted_deliver(*arguments: Any) -> None:
        await deliver(*arguments)
        note("delivered")

    registry.create = noted_create
    RunnerClient.fetch_audio = noted_fetch  # type: ignore[method-assign]
    Delivery.deliver = noted_deliver  # type: ignore[method-assign]


if __name__ == "__main__":
    note_into(Path(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
