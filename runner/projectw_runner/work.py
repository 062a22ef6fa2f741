"""One job: fetch the recording, open it, step the engine, and say how it ended."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from projectw_runner.client import RunnerClient
from projectw_runner.engines import Engine, Samples, Step, Task
from projectw_runner.failures import JobFailure
from projectw_runner.held import Held
from projectw_runner.scratch import Scratch
from projectw_shared.errors import ProjectWError
from projectw_shared.messages import Assignment, Result, ResultError
from projectw_shared.text import safe

T = TypeVar("T")

PATIENCE_SECONDS = 6.0
"""How long a step may take after its job was let go; then the recording is closed under it.

A batch takes 5 s at most, so what still runs is not computing but reading: skipping to where the job goes on.
"""


class Recording(Samples, Protocol):
    """A recording that is being decoded, as ``media.Recording`` is."""

    duration: float | None
    """Seconds, as the file states; None when it states none."""

    @property
    def position(self) -> float:
        """Seconds read so far; at the end, the real length."""

    def close(self) -> None:
        """Stop decoding; a blocked ``read`` raises."""


OpenRecording = Callable[[Path], AbstractAsyncContextManager[Recording]]


class Worker:
    """Does one job at a time, with an engine that stays warm in between.

    The engine lives in ``thread``, an executor of one: how many threads torch computes with is a matter of the
    thread that asks, and no two calls may overlap.
    ``idle_seconds`` after the last job the engine gives back its memory; None keeps it for ever. A step that takes
    more than ``step_seconds`` is given up; None waits for ever.
    """

    def __init__(
        self,
        client: RunnerClient,
        engine: Engine,
        *,
        open_recording: OpenRecording,
        scratch: Scratch,
        thread: ThreadPoolExecutor,
        idle_seconds: float | None = None,
        step_seconds: float | None = None,
    ) -> None:
        self._client = client
        self._engine = engine
        self._open_recording = open_recording
        self._scratch = scratch
        self._idle_seconds = idle_seconds
        self._step_seconds = step_seconds
        self.has_hung = False
        """A step took longer than any may: nothing more can be done with this engine in this process."""
        self._unloading: asyncio.TimerHandle | None = None
        self._abandoned = asyncio.Event()
        self._log = structlog.get_logger()
        self._thread = thread

    @property
    def is_stuck(self) -> bool:
        """A step was abandoned and still runs: the process cannot end in the ordinary way."""
        return self._abandoned.is_set()

    def abandon(self) -> None:
        """Do not wait any longer for the step of a cancelled ``run``. For a process that is about to end."""
        self._abandoned.set()

    async def run(self, job: Assignment, held: Held) -> Result:
        """Do ``job``, handing what comes to ``held``, and return its result, good or bad.

        Raises ``ProjectWError`` when the server says that the job is not ours any more. If cancelled, the
        step under way ends first, and its segments are handed over.
        """
        if self._unloading:
            self._unloading.cancel()
        log = self._log.bind(job_id=job.id, lease=job.lease)
        log.info("job begins", bytes=job.bytes, resume_at=job.resume_at)
        try:
            duration = await self._transcribe(job, held)
        except JobFailure as failure:
            log.warning("job failed", code=failure.code, reason=safe(failure.message))
            return Result(lease=job.lease, error=failure.to_error())
        except ProjectWError:
            raise
        except Exception:  # the job boundary: one job's fault must not end the runner
            log.exception("job failed unexpectedly")
            return Result(lease=job.lease, error=_UNEXPECTED)
        finally:
            self._unload_later()
        log.info("job done", segments=held.next, seconds=duration, language=held.language)
        return Result(lease=job.lease, next=held.next, language=held.language, duration=duration)

    async def _transcribe(self, job: Assignment, held: Held) -> float:
        task = Task(job.settings, job.language, job.first, job.resume_at, tuple(job.segments))
        with self._scratch.folder() as folder:
            path = folder / "recording"
            await self._client.fetch_audio(job, path)
            async with self._open_recording(path) as recording:
                held.duration = recording.duration or held.duration
                await self._steps(recording, task, held)
                return recording.position

    async def _steps(self, recording: Recording, task: Task, held: Held) -> None:
        steps = await self._in_thread(self._engine.transcribe, recording, task, unblock=recording.close)
        loop = asyncio.get_running_loop()

        def advance() -> bool:
            step = next(steps, None)
            if step is not None:
                _check_numbers(step, held)
                # From here, so that it is not lost when the job was let go while the step ran.
                loop.call_soon_threadsafe(held.add, step)
            return step is not None

        try:
            while await self._step(advance, recording):
                pass
        finally:
            if not self.is_stuck:
                await self._in_thread(_close, steps, unblock=recording.close)

    async def _step(self, advance: Callable[[], bool], recording: Recording) -> bool:
        """Return what ``advance`` returns. Raises JobFailure when it does not come to an end."""
        stepping = asyncio.ensure_future(self._in_thread(advance, unblock=recording.close))
        try:
            await asyncio.wait([stepping], timeout=self._step_seconds)
            if not stepping.done():
                self.has_hung = True
                self.abandon()
                raise JobFailure(
                    "engine-stuck",
                    f"The engine of this runner has not come on for {self._step_seconds:g} s.",
                    retryable=True,
                )
            return stepping.result()
        finally:
            if not stepping.done():
                stepping.cancel()
                await asyncio.wait([stepping])

    async def _in_thread(self, call: Callable[..., T], *arguments: Any, unblock: Callable[[], None]) -> T:
        """Run ``call`` in the engine's thread. If cancelled, wait for its end, which ``unblock`` may hasten."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await self._until_done(future, unblock)
            raise

    async def _until_done(self, future: asyncio.Future[T], unblock: Callable[[], None]) -> None:
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        either = (future, abandoned)
        await asyncio.wait(either, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            await asyncio.to_thread(unblock)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        abandoned.cancel()
        if future.done() and (error := future.exception()):
            self._log.debug("the last step of a job that was let go failed", error=type(error).__name__)

    def _unload_later(self) -> None:
        if self._idle_seconds is not None:
            loop = asyncio.get_running_loop()
            self._unloading = loop.call_later(self._idle_seconds, self._unload)

    def _unload(self) -> None:
        self._log.info("no job for a while: the engine gives back its memory")
        self._thread.submit(self._engine.unload).add_done_callback(self._note_unloaded)

    def _note_unloaded(self, unloading: Future[None]) -> None:
        if error := unloading.exception():
            self._log.warning("the engine could not give back its memory", error=type(error).__name__)

    def close(self) -> None:
        """End the engine's thread, unless it is stuck."""
        if self._unloading:
            self._unloading.cancel()
        self._thread.shutdown(wait=not self.is_stuck)


_UNEXPECTED = ResultError(
    "runner-error", "The runner met an error that it did not expect; its log says more.", retryable=True
)


def _check_numbers(step: Step, held: Held) -> None:
    for number, segment in enumerate(step.segments, held.next):
        if segment.id != number:
            raise ValueError(f"the engine numbered a segment {segment.id} where {number} was due")


def _close(steps: Iterator[Step]) -> None:
    close = getattr(steps, "close", None)
    if close is not None:
        close()
