"""The heartbeats that wait: one for each session, answered when there is something to say."""

import asyncio
from collections import OrderedDict

from projectw_server.jobs.leases import Holder
from projectw_shared.messages import Assignment


class Waiter:
    """One held heartbeat: of an idle runner that wants a job, or of one that works on ``job_id``."""

    def __init__(self, holder: Holder, job_id: str | None, *, wants_job: bool) -> None:
        self.holder = holder
        self.job_id = job_id
        self.wants_job = wants_job
        self.is_matching = False
        """A job is being claimed for it just now."""
        self._answer: asyncio.Future[Assignment | None] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        """The heartbeat was answered, or its client has gone."""
        return self._answer.done()

    def answer(self, assignment: Assignment | None = None) -> bool:
        """End the waiting; tell whether anybody was still there."""
        if self._answer.done():
            return False
        self._answer.set_result(assignment)
        return True

    async def wait(self, seconds: float) -> Assignment | None:
        """Wait for the answer; None when the time is up or there is other news than a job."""
        try:
            done, _ = await asyncio.wait([self._answer], timeout=seconds)
            while not done and self.is_matching:
                # A claim under way is worth the few milliseconds: given up now it would only go around again.
                done, _ = await asyncio.wait([self._answer], timeout=0.05)
            return self._answer.result() if done else None
        finally:
            self._answer.cancel()


class Waiters:
    """Every held heartbeat, in the order in which they came."""

    def __init__(self) -> None:
        self._by_session: OrderedDict[str, Waiter] = OrderedDict()

    def add(self, waiter: Waiter) -> None:
        """Add a heartbeat; it ends the older one of its session."""
        self.end_session(waiter.holder.session)
        self._by_session[waiter.holder.session] = waiter

    def remove(self, waiter: Waiter) -> None:
        """Take a heartbeat out, if it is still the one of its session."""
        if self._by_session.get(waiter.holder.session) is waiter:
            del self._by_session[waiter.holder.session]

    def next_idle(self) -> Waiter | None:
        """Return the idle runner that has waited longest."""
        return next((w for w in self._by_session.values() if w.wants_job and not w.is_over), None)

    def end_session(self, session: str) -> None:
        """Answer the held heartbeat of a session."""
        if waiter := self._by_session.pop(session, None):
            waiter.answer()

    def end_job(self, job_id: str) -> None:
        """Answer the held heartbeat of the runner that works on a job."""
        for waiter in list(self._by_session.values()):
            if waiter.job_id == job_id:
                waiter.answer()

    def end_runner(self, runner_id: str) -> None:
        """Answer the held heartbeats of a runner, in whatever session."""
        for waiter in list(self._by_session.values()):
            if waiter.holder.runner_id == runner_id:
                waiter.answer()

    def end_all(self) -> None:
        """Answer every held heartbeat: the server stops."""
        for waiter in list(self._by_session.values()):
            waiter.answer()
