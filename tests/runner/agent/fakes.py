"""An engine and a recording whose every step a test decides."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from projectw_runner.engines import Samples, Step, Task
from projectw_runner.failures import JobFailure
from projectw_shared.transcripts import Segment

BATCH_SECONDS = 10.0


def segment(number: int) -> Segment:
    start = number * BATCH_SECONDS
    return Segment(id=number, start=start, end=start + 5.0, text=f" segment {number}")


class SteppedEngine:
    """Makes one segment a step, and ``seconds`` is up when ``allow`` has permitted all of them."""

    name = "stepped"

    def __init__(self, steps: int = 3, *, permits: int | None = None) -> None:
        self.device = "cpu (test)"
        self.steps = steps
        self.tasks: list[Task] = []
        self.events: list[str] = []
        """``transcribe``, ``close`` and ``unload``, in the order in which they happened."""
        self.begun = 0
        """How many steps have begun to compute."""
        self.threads: set[str] = set()
        self.failure: Exception | None = None
        self.fail_at = 0
        self._permits = threading.Semaphore(steps * 1000 if permits is None else permits)

    def models(self) -> list[str]:
        return ["tiny.en"]

    def allow(self, steps: int) -> None:
        self._permits.release(steps)

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        self.tasks.append(task)
        self.events.append("transcribe")
        try:
            for number in range(task.first, self.steps):
                self.threads.add(threading.current_thread().name)
                self.begun += 1
                self._permits.acquire()
                if self.failure and number == self.fail_at:
                    raise self.failure
                samples.read(1)
                yield Step((segment(number),), (number + 1) * BATCH_SECONDS, "en")
        finally:
            self.threads.add(threading.current_thread().name)
            self.events.append("close")

    def unload(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.events.append("unload")

    @property
    def unloads(self) -> int:
        return self.events.count("unload")

    @property
    def closed(self) -> int:
        return self.events.count("close")


class FakeRecording:
    def __init__(self, audio: bytes, duration: float) -> None:
        self.audio = audio
        self.duration: float | None = duration
        self.position = 0.0
        self.is_closed = False

    def read(self, count: int) -> NDArray[np.float32]:
        if self.is_closed:
            raise JobFailure("cancelled", "closed")
        self.position += BATCH_SECONDS
        return np.zeros(count, np.float32)

    def close(self) -> None:
        self.is_closed = True


class FakeMedia:
    """Opens recordings, and remembers them with what their files held."""

    def __init__(self, duration: float = 30.0) -> None:
        self.duration = duration
        self.opened: list[FakeRecording] = []
        self.modes: list[int] = []
        self.failure: Exception | None = None

    @asynccontextmanager
    async def open(self, path: Path) -> AsyncIterator[FakeRecording]:
        if self.failure is not None:
            raise self.failure
        self.modes.append(path.parent.stat().st_mode & 0o777)
        recording = FakeRecording(path.read_bytes(), self.duration)
        self.opened.append(recording)
        try:
            yield recording
        finally:
            recording.close()
