"""The life of a runner: register, wait for a job, do it, say how it ended, and leave in good order."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from projectw_runner.backoff import Backoff, passes_by_itself
from projectw_runner.client import RunnerClient
from projectw_runner.delivery import Delivery, refusal
from projectw_runner.heartbeat import Beats
from projectw_runner.held import Ending, Held
from projectw_runner.work import Worker
from projectw_shared.errors import ProjectWError
from projectw_shared.messages import Assignment, Registered, Registration, Result, ResultError

T = TypeVar("T")

STEP_GRACE = 8.0
"""Seconds that the batch under way may take after this process was asked to stop; batches take at most 5."""

FAREWELL_GRACE = 4.0
"""Seconds for each thing that is still to be said to the server then."""


class Agent:
    """One runner. ``run`` lasts until the runner is stopped, drained, or refused by the server."""

    def __init__(
        self, client: RunnerClient, worker: Worker, delivery: Delivery, registration: Registration
    ) -> None:
        self._client = client
        self._worker = worker
        self._delivery = delivery
        self._registration = registration
        self._stopping = asyncio.Event()
        self._held: Held | None = None
        self._is_registered = False
        self._log = structlog.get_logger()

    @property
    def status(self) -> str:
        """What this runner does just now, as a phrase for its operator."""
        if self._stopping.is_set():
            return "Leaving"
        if self._held is not None:
            return f"Working on job {self._held.id}"
        return "Waiting for a job" if self._is_registered else "Not registered yet"

    def stop(self) -> None:
        """Take no more jobs; what is held goes back to the queue with its segments, and ``run`` returns."""
        self._stopping.set()
        if self._held is not None:
            self._held.end(Ending.STOPPED)

    async def run(self) -> None:
        """Work until stopped or drained.

        Raises what ends a runner for good: ``Unauthorized`` when the token is refused, ``SessionLost`` when
        another registration of the token has taken over.
        """
        await self._unless_stopped(self._delivery.deliver_leftovers())
        session = await self._unless_stopped(self._register())
        if session is None:
            return
        wait = min(session.heartbeat_seconds, session.lease_seconds / 3)
        beats = Beats(self._client, session.session, wait=wait)
        while (job := await self._unless_stopped(beats.next_job())) is not None:
            if not await self._do(beats, job):
                return
            if self._worker.has_hung:
                self._log.error("the engine hangs; this runner ends, to be started anew by its supervisor")
                break
        await self._leave(session.session)

    async def _register(self) -> Registered:
        backoff = Backoff()
        while True:
            try:
                session = await self._client.register(self._registration)
            except ProjectWError as error:
                if not passes_by_itself(error):
                    raise
                level = self._log.debug if backoff.tries else self._log.warning
                level("not registered yet, trying again", reason=error.detail)
                await backoff.pause(error)
            else:
                self._is_registered = True
                self._log.info("registered", runner=session.runner_id, name=self._registration.name)
                return session

    async def _do(self, beats: Beats, job: Assignment) -> bool:
        """Do one job; False if its result is kept for the next start, for which the lease must live on."""
        held = self._held = Held.assigned(job)
        if self._stopping.is_set():
            held.end(Ending.STOPPED)
        # What is begun here inherits it: beating, working and delivering all say whose sake they are for.
        with structlog.contextvars.bound_contextvars(job_id=job.id, lease=job.lease):
            return await self._hold(beats, job, held)

    async def _hold(self, beats: Beats, job: Assignment, held: Held) -> bool:
        async with asyncio.TaskGroup() as group:
            beating = [group.create_task(beats.listen(held)), group.create_task(beats.send(held))]
            try:
                result = await self._work(job, held)
                if result is not None:
                    delivering = group.create_task(self._delivery.deliver(beats, held, result))
                    delivered = await self._settle(delivering, FAREWELL_GRACE)
                else:
                    delivered = await self._settle(group.create_task(beats.flush(held)), FAREWELL_GRACE)
            finally:
                for task in beating:
                    task.cancel()
        self._held = None
        if held.ending is Ending.EXPELLED and held.error is not None:
            raise held.error
        return delivered or result is None

    async def _work(self, job: Assignment, held: Held) -> Result | None:
        """Return how the job ended, None if that is not ours to say."""
        working = asyncio.create_task(self._worker.run(job, held))
        ended = asyncio.create_task(held.ended.wait())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if held.ended.is_set() and not working.done():
                await self._let_go(working, held)
            await asyncio.wait({working})
        finally:
            ended.cancel()
            working.cancel()
        return _answer(working, held)

    async def _let_go(self, working: asyncio.Task[Result], held: Held) -> None:
        """Cancel the work, which ends with its batch; do not wait for that for ever when this process is to leave."""
        self._log.info("job let go", because=held.ending.name.lower() if held.ending else None)
        if held.ending is Ending.EXPELLED:
            self._stopping.set()
        working.cancel()
        if not await self._settle(working, STEP_GRACE):
            self._worker.abandon()

    async def _settle(self, task: asyncio.Task[Any], grace: float) -> bool:
        """Wait for ``task``, once asked to stop for ``grace`` more seconds; tell whether it is done.

        One that is not is cancelled.
        """
        await self._unless_stopped(asyncio.wait({task}))
        await asyncio.wait({task}, timeout=grace)
        if done := task.done():
            return done
        task.cancel()
        return False

    async def _leave(self, session: str) -> None:
        try:
            async with asyncio.timeout(FAREWELL_GRACE):
                await self._client.unregister(session)
        except (ProjectWError, TimeoutError) as error:
            # Not lost: the lease runs out by itself, it only takes longer.
            self._log.warning("leaving without having unregistered", reason=str(error) or "no answer in time")
        else:
            self._log.info("unregistered")

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what ``work`` returns; None, with ``work`` cancelled, once this runner was asked to stop."""
        doing = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})
        return None if doing.cancelled() else doing.result()


def _answer(working: asyncio.Task[Result], held: Held) -> Result | None:
    if not working.cancelled():
        error = working.exception()
        if isinstance(error, ProjectWError):
            held.end_after(error)
        elif error is not None:
            raise error
    if held.ending is Ending.REFUSED:
        return refusal(held)
    if not held.is_ours:
        return None
    if not working.cancelled():
        return working.result()
    if held.ending is Ending.ABORTED:
        return Result(lease=held.lease, error=ResultError("cancelled", "Cancelled by its owner."))
    return None
