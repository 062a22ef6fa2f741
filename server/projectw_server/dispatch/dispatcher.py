"""Heartbeats: how a runner gets work, renews its lease, and hears that it should stop.

An idle runner's heartbeat is held until there is a job for it, so a job finds its runner within
milliseconds. One task matches: the runner that has waited longest gets the first job of the queue.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime

import structlog

from projectw_server.accounts.principals import RunnerIdentity
from projectw_server.db import Row
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.roster import Roster
from projectw_server.dispatch.waiters import Offers, Waiter, Waiters
from projectw_server.events.signals import Beating, JobNews, Missed, Queued, RunnerNews, Signals
from projectw_server.jobs.claiming import Holder, NotFree
from projectw_server.jobs.leases import Leases
from projectw_shared.errors import Unavailable
from projectw_shared.messages import Assignment, Heartbeat, HeartbeatReply, HeldJob, Result

REPEATED_NEWS_SECONDS = 1.0
"""A runner that has been told to abort or drain hears it again after this at the earliest."""

LOOK_SECONDS = 2.0
"""Waiting runners and jobs are looked at this often also when nobody said that there is something new."""

SHORTEST_SHARE = 0.8
"""A heartbeat that would wait for as long as it may is held for this share of that at least: runners that came
together, as they do after a restart, would otherwise come together for ever, and a job would wait behind them all."""

CLAIMS_AT_ONCE = 8
"""How many claims wait for the database side by side at most: one at a time would get one turn for all the turns of
those who submit, and on a busy machine the queue would grow although runners wait."""

RETRY_SECONDS = 1.0
"""When the database could not be asked for a job, it is asked again after this."""

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Answers the heartbeats of one server process."""

    def __init__(
        self, leases: Leases, fleet: Fleet, roster: Roster, signals: Signals, *, heartbeat_seconds: float
    ) -> None:
        self.waiters = Waiters()
        self._leases = leases
        self._fleet = fleet
        self._roster = roster
        self._signals = signals
        self._max_wait = heartbeat_seconds
        self._something_to_match = asyncio.Event()
        self._due: set[Offers] = set()
        self._untold: set[str] = set()
        self._told: dict[str, tuple[str, bool, bool]] = {}
        self._here: dict[str, str] = {}
        """The sessions whose last held heartbeat came to this server."""
        self._is_closed = False
        signals.on(Queued, lambda signal: self._queued(signal.need))
        signals.on(JobNews, lambda signal: self.waiters.end_job(signal.job_id))
        signals.on(RunnerNews, lambda signal: self.waiters.end_runner(signal.runner_id))
        signals.on(Beating, self._beats_elsewhere)
        signals.on(Missed, lambda _: self._look_around())

    async def heartbeat(
        self,
        runner: RunnerIdentity,
        beat: Heartbeat,
        while_held: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> HeartbeatReply:
        """Answer a heartbeat, at once or within ``beat.wait`` seconds, which are spent inside ``while_held``.

        Raises SessionLost, LeaseLost or Gap as the contract says.
        """
        wait = min(beat.wait, self._max_wait)
        if wait == self._max_wait:
            wait *= random.uniform(SHORTEST_SHARE, 1.0)  # noqa: S311  no secret
        if wait <= 0 or (beat.job is not None and beat.job.segments):
            return await self._at_once(runner, beat)
        waiter = Waiter(runner.id, beat.session, beat.job.id if beat.job else None, while_held)
        async with self._listening(waiter):
            if beat.job is None:
                return await self._idle(runner, waiter, wait)
            return await self._working(runner, waiter, beat.job, wait)

    @asynccontextmanager
    async def _listening(self, waiter: Waiter) -> AsyncIterator[None]:
        """Let news reach ``waiter`` before anything is read, so that none falls in between."""
        if self._is_closed:
            raise Unavailable("The server is stopping; come back in a moment")
        older = self.waiters.add(waiter)
        if self._here.get(waiter.runner_id) != waiter.session:
            self._here[waiter.runner_id] = waiter.session
            self._signals.tell_others(Beating(waiter.runner_id, waiter.session))
        try:
            if older is not None:
                await older.settled.wait()
            yield
        finally:
            self.waiters.remove(waiter)

    async def _at_once(self, runner: RunnerIdentity, beat: Heartbeat) -> HeartbeatReply:
        holder, row = await self._fleet.holder(runner, beat.session)
        if beat.job is not None:
            return self._reply(holder, row, None, await self._leases.beat(holder, beat.job))
        assignment = await self._leases.held_by(holder)
        if assignment is None and _may_work(row):
            assignment = await self._claim_now(holder)
        return self._reply(holder, row, assignment, abort=False)

    async def _working(
        self, runner: RunnerIdentity, waiter: Waiter, job: HeldJob, wait: float
    ) -> HeartbeatReply:
        holder, row = await self._fleet.holder(runner, waiter.session)
        abort = await self._leases.beat(holder, job)
        if abort or row["draining"]:
            if self._is_news(holder, row, abort):
                return self._reply(holder, row, None, abort)
            wait = min(wait, REPEATED_NEWS_SECONDS)
        await waiter.wait(wait)
        if not waiter.is_dismissed:
            holder, row = await self._fleet.holder(runner, waiter.session)
            # Looked at, not renewed: that the line is open does not prove that the runner still lives.
            abort = await self._leases.is_to_abort(holder, job.id, job.lease)
        return self._reply(holder, row, None, abort)

    async def _idle(self, runner: RunnerIdentity, waiter: Waiter, wait: float) -> HeartbeatReply:
        holder, row = await self._fleet.holder(runner, waiter.session)
        if assignment := await self._leases.held_by(holder):
            return self._reply(holder, row, assignment, abort=False)
        if row["draining"]:
            if self._is_news(holder, row, abort=False):
                return self._reply(holder, row, None, abort=False)
            wait = min(wait, REPEATED_NEWS_SECONDS)
        if _may_work(row):
            self.waiters.want_job(waiter, holder)
            self._wake(holder.offers)
        assignment = await self._wait_for_job(waiter, wait)
        if assignment is None and not waiter.is_dismissed:
            holder, row = await self._fleet.holder(runner, waiter.session)
        return self._reply(holder, row, assignment, abort=False)

    async def _wait_for_job(self, waiter: Waiter, seconds: float) -> Assignment | None:
        try:
            return await waiter.wait(seconds)
        except asyncio.CancelledError:
            if (assignment := waiter.assignment) is not None:
                # Answered in the very moment in which its client went away.
                await self._give_back(waiter, assignment)
            raise

    async def _give_back(self, waiter: Waiter, assignment: Assignment) -> None:
        """Queue again, as if it had never been assigned, a job whose runner did not hear of it."""
        waiter.settled.clear()
        try:
            await self._leases.hand_back(assignment.id, assignment.lease)
        finally:
            waiter.settled.set()

    async def _claim_now(self, holder: Holder) -> Assignment | None:
        """Claim for a runner that does not wait; if its client goes away meanwhile, the job goes back."""
        claiming = asyncio.create_task(self._claim(holder))
        try:
            return await asyncio.shield(claiming)
        except NotFree:
            return await self._leases.held_by(holder)
        except asyncio.CancelledError:
            assignment = await claiming
            if assignment is not None:
                await self._leases.hand_back(assignment.id, assignment.lease)
            raise

    def _is_news(self, holder: Holder, row: Row, abort: bool) -> bool:
        return self._told.get(holder.runner_id) != (holder.session, abort, bool(row["draining"]))

    def _reply(self, holder: Holder, row: Row, assignment: Assignment | None, abort: bool) -> HeartbeatReply:
        drain = bool(row["draining"])
        if abort or drain:
            self._told[holder.runner_id] = (holder.session, abort, drain)
        else:
            self._told.pop(holder.runner_id, None)
        return HeartbeatReply(job=assignment, abort=abort, drain=drain, server_time=datetime.now(UTC))

    async def finish(self, runner: RunnerIdentity, job_id: str, result: Result) -> None:
        """Take a job's result; the held heartbeat of its runner, if any, is answered."""
        job = await self._leases.finish(runner.id, job_id, result)
        if job is not None:
            await self._fleet.judge(runner, job, result)
            await self._roster.learn(job, result)

    async def unregister(self, runner: RunnerIdentity, session: str) -> None:
        """End a session, and its held heartbeat with it."""
        # Before the session is gone: what ends by its own doing must not read as a session that was lost.
        self.waiters.dismiss(runner.id, session)
        await self._fleet.unregister(runner, session)
        self._told.pop(runner.id, None)
        self._here.pop(runner.id, None)

    async def _claim(self, holder: Holder) -> Assignment | None:
        return await self._leases.claim(holder, is_alone=self._roster.is_alone(holder))

    def _beats_elsewhere(self, signal: Beating) -> None:
        self._here.pop(signal.runner_id, None)
        self.waiters.dismiss(signal.runner_id, signal.session, is_elsewhere=True)

    def _queued(self, need: str) -> None:
        """A job waits that needs ``need``."""
        self._untold.add(need)
        self._wake(*(offers for offers in self.waiters.idle_offers() if need in offers))

    def _look_around(self) -> None:
        """Something may have happened that nobody told: let every held heartbeat look for itself."""
        self.waiters.end_working()
        self._wake(*self.waiters.idle_offers())

    def _wake(self, *offers: Offers) -> None:
        self._due.update(offers)
        self._something_to_match.set()

    async def match(self) -> None:
        """Bring waiting runners and waiting jobs together, for as long as the server lives."""
        while True:
            await self._wait_for_something()
            try:
                while self._due:
                    await self._match_all(self._due.pop())
                self._tell_others()
            except Exception:  # noqa: BLE001  nobody waits for this task, and without it no job finds a runner
                _log.exception("jobs could not be matched with runners")
                await asyncio.sleep(RETRY_SECONDS)
                self._wake(*self.waiters.idle_offers())

    async def _wait_for_something(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._something_to_match.wait()
                self._something_to_match.clear()
                return
        self._due |= self.waiters.idle_offers()

    def _tell_others(self) -> None:
        """Tell the other servers of jobs that came, unless somebody here would still take such a one."""
        untold, self._untold = self._untold, set()
        here = {offer for offers in self.waiters.idle_offers() for offer in offers} if untold else set()
        for need in untold - here:
            self._signals.tell_others(Queued(need))

    async def _match_all(self, offers: Offers) -> None:
        """Claim until no job or no runner with these ``offers`` is left, more side by side the longer that goes on."""
        count = 1
        while waiters := self.waiters.next_idle(offers, count):
            for waiter in waiters:
                # Before anything else runs: whose time is up now must wait for what is claimed for it.
                waiter.settled.clear()
            if not all(await asyncio.gather(*(self._match_one(waiter) for waiter in waiters))):
                return
            count = min(count * 2, CLAIMS_AT_ONCE)

    async def _match_one(self, waiter: Waiter) -> bool:
        """Claim the first job for ``waiter``, which is not settled meanwhile; tell whether it is worth going on."""
        try:
            assert waiter.holder is not None
            assignment = await self._claim(waiter.holder)
            if assignment is not None and not waiter.answer(assignment):
                await self._not_taken(waiter, assignment)
            return assignment is not None
        except NotFree:
            waiter.answer()
            return True
        finally:
            waiter.settled.set()
            if waiter.has_left:
                self.waiters.remove(waiter)

    async def _not_taken(self, waiter: Waiter, assignment: Assignment) -> None:
        """Deal with a job that was claimed for a heartbeat which was over by then."""
        if waiter.is_elsewhere:
            # The runner may be told of the job at the other server already; if not, it is to ask again.
            self._signals.tell_others(RunnerNews(waiter.runner_id))
        else:
            # As if it had never been assigned.
            await self._leases.hand_back(assignment.id, assignment.lease)

    def close(self) -> None:
        """Answer every held heartbeat: the server stops."""
        self._is_closed = True
        self.waiters.end_all()


def _may_work(row: Row) -> bool:
    return not (row["cordoned"] or row["draining"])
