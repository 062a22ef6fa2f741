"""Heartbeats: how a runner gets work, renews its lease, and hears that it should stop.

An idle runner's heartbeat is held until there is a job for it, so a job finds its runner within
milliseconds. One task matches: the runner that has waited longest gets the first job of the queue.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from tortoise.exceptions import BaseORMException

from projectw_server.accounts.principals import RunnerIdentity
from projectw_server.clock import Clock
from projectw_server.db import Row
from projectw_server.dispatch.fleet import Fleet
from projectw_server.dispatch.waiters import Waiter, Waiters
from projectw_server.jobs.leases import Holder, Leases
from projectw_server.jobs.moves import Moves
from projectw_shared.errors import Unavailable
from projectw_shared.messages import Assignment, Heartbeat, HeartbeatReply, Result

RETRY_SECONDS = 1.0
"""Pause after a failed assignment."""

REPEATED_NEWS_SECONDS = 1.0
"""A runner that has been told to abort or drain hears it again after this at the earliest."""

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Answers the heartbeats of one server process."""

    def __init__(
        self, leases: Leases, fleet: Fleet, moves: Moves, clock: Clock, *, heartbeat_seconds: float
    ) -> None:
        self._leases = leases
        self._fleet = fleet
        self._clock = clock
        self._max_wait = heartbeat_seconds
        self._waiters = Waiters()
        self._something_to_match = asyncio.Event()
        self._told: dict[str, tuple[bool, bool]] = {}
        self._is_closed = False
        moves.on_queued.append(self._something_to_match.set)
        moves.on_news.append(self._waiters.end_job)
        fleet.on_news.append(self._waiters.end_runner)

    async def heartbeat(self, runner: RunnerIdentity, beat: Heartbeat) -> HeartbeatReply:
        """Answer a heartbeat, at once or within ``beat.wait`` seconds.

        Raises SessionLost, LeaseLost or Gap as the contract says.
        """
        holder, row = await self._fleet.holder(runner, beat.session)
        wait = min(beat.wait, self._max_wait)
        if beat.job is not None:
            abort = await self._leases.beat(holder, beat.job)
            if beat.job.segments or wait <= 0:
                return self._reply(holder, row, None, abort)
            return await self._hold_working(holder, runner, beat, row, wait, abort=abort)
        if assignment := await self._leases.held_by(holder):
            return self._reply(holder, row, assignment, abort=False)
        return await self._hold_idle(holder, runner, row, wait)

    async def _hold_working(
        self,
        holder: Holder,
        runner: RunnerIdentity,
        beat: Heartbeat,
        row: Row,
        wait: float,
        *,
        abort: bool,
    ) -> HeartbeatReply:
        assert beat.job is not None
        news = (abort, bool(row["draining"]))
        if any(news):
            if self._told.get(holder.session) != news:
                return self._reply(holder, row, None, abort)
            wait = min(wait, REPEATED_NEWS_SECONDS)
        await self._hold(Waiter(holder, beat.job.id, wants_job=False), wait)
        holder, row = await self._fleet.holder(runner, beat.session)
        # Looked at, not renewed: that the line is open does not prove that the runner still lives.
        abort = await self._leases.is_to_abort(holder, beat.job.id, beat.job.lease)
        return self._reply(holder, row, None, abort)

    async def _hold_idle(
        self, holder: Holder, runner: RunnerIdentity, row: Row, wait: float
    ) -> HeartbeatReply:
        may_work = not (row["cordoned"] or row["draining"])
        if wait <= 0:
            assignment = await self._claim_now(holder) if may_work else None
            return self._reply(holder, row, assignment, abort=False)
        if row["draining"]:
            if self._told.get(holder.session) != (False, True):
                return self._reply(holder, row, None, abort=False)
            wait = min(wait, REPEATED_NEWS_SECONDS)
        assignment = await self._hold(Waiter(holder, None, wants_job=may_work), wait)
        if assignment is None:
            holder, row = await self._fleet.holder(runner, holder.session)
        return self._reply(holder, row, assignment, abort=False)

    async def _hold(self, waiter: Waiter, seconds: float) -> Assignment | None:
        if self._is_closed:
            raise Unavailable("The server is stopping; come back in a moment")
        self._waiters.add(waiter)
        if waiter.wants_job:
            self._something_to_match.set()
        try:
            return await waiter.wait(seconds)
        finally:
            self._waiters.remove(waiter)

    async def _claim_now(self, holder: Holder) -> Assignment | None:
        """Claim for a runner that does not wait; if its client goes away meanwhile, the job goes back."""
        claiming = asyncio.create_task(self._leases.claim(holder))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            assignment = await claiming
            if assignment is not None:
                await asyncio.shield(self._leases.hand_back(assignment.id, assignment.lease))
            raise

    def _reply(self, holder: Holder, row: Row, assignment: Assignment | None, abort: bool) -> HeartbeatReply:
        drain = bool(row["draining"])
        if abort or drain:
            self._told[holder.session] = (abort, drain)
        else:
            self._told.pop(holder.session, None)
        return HeartbeatReply(job=assignment, abort=abort, drain=drain, server_time=datetime.now(UTC))

    async def finish(self, runner: RunnerIdentity, job_id: str, result: Result) -> None:
        """Take a job's result; the held heartbeat of its runner, if any, is answered."""
        await self._leases.finish(runner.id, job_id, result)

    async def unregister(self, runner: RunnerIdentity, session: str) -> None:
        """End a session, and its held heartbeat with it."""
        await self._fleet.unregister(runner, session)
        self._waiters.end_session(session)
        self._told.pop(session, None)

    async def match(self) -> None:
        """Bring waiting runners and waiting jobs together, for as long as the server lives."""
        while True:
            await self._something_to_match.wait()
            self._something_to_match.clear()
            try:
                while (waiter := self._waiters.next_idle()) and await self._match_one(waiter):
                    pass
            except (BaseORMException, OSError) as error:
                # A database that is busy or full for a while must not end dispatching for ever.
                _log.error("no job could be assigned", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._something_to_match.set()

    async def _match_one(self, waiter: Waiter) -> bool:
        """Claim the first job for ``waiter``; tell whether there was one."""
        waiter.is_matching = True
        try:
            assignment = await self._leases.claim(waiter.holder)
        finally:
            waiter.is_matching = False
        if assignment is None:
            return False
        if not waiter.answer(assignment):
            # Its client went away while the job was claimed: as if it had never been assigned.
            await self._leases.hand_back(assignment.id, assignment.lease)
        return True

    def close(self) -> None:
        """Answer every held heartbeat: the server stops."""
        self._is_closed = True
        self._waiters.end_all()
