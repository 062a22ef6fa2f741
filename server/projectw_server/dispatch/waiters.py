"""The heartbeats that wait: one for each session, answered when there is something to say."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice

from projectw_server.jobs.claiming import Holder
from projectw_shared.messages import Assignment

Offers = tuple[str, ...]


class Waiter:
    """One held heartbeat: of an idle runner, or of one that works on ``job_id``."""

    def __init__(
        self,
        runner_id: str,
        session: str,
        job_id: str | None = None,
        while_held: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.runner_id = runner_id
        self.session = session
        self.job_id = job_id
        self._while_held = while_held
        self.holder: Holder | None = None
        """For whom a job is wanted; None as long as none is."""
        self.is_dismissed = False
        """Ended by its own runner, which so needs no news."""
        self.is_elsewhere = False
        """Its runner has a newer heartbeat at another server."""
        self.has_left = False
        self.settled = asyncio.Event()
        """Not set while a job is being claimed for it, or given back."""
        self.settled.set()
        self._answer: asyncio.Future[Assignment | None] = asyncio.get_running_loop().create_future()

    @property
    def offers(self) -> Offers:
        """The needs that its runner fulfils."""
        return self.holder.offers if self.holder else ()

    @property
    def is_over(self) -> bool:
        """The heartbeat was answered, or its client has gone."""
        return self._answer.done()

    @property
    def assignment(self) -> Assignment | None:
        """The job with which it was answered."""
        answered = self._answer.done() and not self._answer.cancelled()
        return self._answer.result() if answered else None

    def answer(self, assignment: Assignment | None = None) -> bool:
        """End the waiting; tell whether anybody was still there."""
        if self._answer.done():
            return False
        self._answer.set_result(assignment)
        return True

    def dismiss(self) -> None:
        """End the waiting on behalf of the runner itself."""
        self.is_dismissed = self.answer() or self.is_dismissed

    async def wait(self, seconds: float) -> Assignment | None:
        """Wait for the answer; None when the time is up or there is other news than a job."""
        try:
            with self._while_held():
                await asyncio.wait([self._answer], timeout=seconds)
            if not self._answer.done():
                # A claim under way is worth the few milliseconds: given up now it would only go around again.
                await self.settled.wait()
            return self.assignment
        finally:
            self._answer.cancel()


class Waiters:
    """Every held heartbeat, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, str], Waiter] = OrderedDict()
        # Asked for with every job: looking through a thousand others was a tenth of the server's time.
        self._working: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._idle: dict[Offers, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiter: Waiter) -> Waiter | None:
        """Add a heartbeat and return the older one of its session, which it ends."""
        older = self._waiting.pop(_key(waiter), None)
        if older is not None:
            older.dismiss()
        self._waiting[_key(waiter)] = waiter
        if waiter.job_id is not None:
            self._working[waiter.job_id].add(waiter)
        if waiter.holder is not None:
            self.want_job(waiter, waiter.holder)
        return older

    def want_job(self, waiter: Waiter, holder: Holder) -> None:
        """Let a job be claimed for ``waiter`` from now on."""
        waiter.holder = holder
        self._idle.setdefault(holder.offers, {})[waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Take out a heartbeat whose request is over, once nothing is being claimed for it."""
        waiter.has_left = True
        self._forget_idle(waiter)
        if waiter.job_id is not None and (working := self._working.get(waiter.job_id)) is not None:
            working.discard(waiter)
            if not working:
                del self._working[waiter.job_id]
        if waiter.settled.is_set() and self._waiting.get(_key(waiter)) is waiter:
            del self._waiting[_key(waiter)]

    def next_idle(self, offers: Offers, count: int = 1) -> list[Waiter]:
        """Return the ``count`` idle runners with just these ``offers`` that have waited longest.

        Without those for whom a job is being claimed.
        """
        return list(islice((waiter for waiter in self._free(offers) if waiter.settled.is_set()), count))

    def idle_offers(self) -> set[Offers]:
        """Return what the idle runners offer, each combination once."""
        return {offers for offers in list(self._idle) if next(self._free(offers), None) is not None}

    def _free(self, offers: Offers) -> Iterator[Waiter]:
        """Yield those who still wait, lazily; the group must not change meanwhile."""
        return (waiter for waiter in self._idle.get(offers, ()) if not waiter.is_over)

    def _forget_idle(self, waiter: Waiter) -> None:
        if (group := self._idle.get(waiter.offers)) is not None:
            group.pop(waiter, None)
            if not group:
                del self._idle[waiter.offers]

    def dismiss(self, runner_id: str, session: str, *, is_elsewhere: bool = False) -> None:
        """End the held heartbeat of a session on behalf of its runner, which may now call another server."""
        if waiter := self._waiting.get((runner_id, session)):
            waiter.dismiss()
            waiter.is_elsewhere = is_elsewhere

    def end_job(self, job_id: str) -> None:
        """Answer the held heartbeat of the runner that works on a job."""
        for waiter in self._working.get(job_id, ()):
            waiter.answer()

    def end_working(self) -> None:
        """Answer the held heartbeats of all runners that work."""
        for waiter in chain.from_iterable(self._working.values()):
            waiter.answer()

    def end_runner(self, runner_id: str) -> None:
        """Answer the held heartbeats of a runner, in whatever session."""
        for waiter in self._waiting.values():
            if waiter.runner_id == runner_id:
                waiter.answer()

    def end_all(self) -> None:
        """Answer every held heartbeat: the server stops."""
        for waiter in self._waiting.values():
            waiter.answer()


def _key(waiter: Waiter) -> tuple[str, str]:
    return waiter.runner_id, waiter.session
