"""The heartbeat: how a runner gets work, says what it has done, and learns of an abort.

Three coroutines, one for each of these. While a job is held, ``listen`` keeps one heartbeat waiting at the
server, which renews the lease and brings an abort at once, and ``send`` lets new segments out in heartbeats of
their own. Neither waits for the thread that computes, so the lease holds while weights are loaded or a long
batch runs.
"""

import asyncio

import structlog

from projectw_runner.backoff import Backoff, passes_by_itself
from projectw_runner.client import RunnerClient
from projectw_runner.held import Ending, Held
from projectw_shared.errors import Gap, ProjectWError
from projectw_shared.messages import Assignment, HeartbeatReply, HeldJob

SENDING_PAUSE = 0.2
"""Seconds between two heartbeats with segments: quick engines then bring several steps in one."""

SHORTEST_ROUND = 1.0
"""Seconds from one waiting heartbeat to the next, whatever the server says: it must not be asked in a circle."""


class Beats:
    """The heartbeats of one session.

    ``wait`` is how many seconds the server may hold one back, as it said at registration.
    """

    def __init__(self, client: RunnerClient, session: str, *, wait: float = 0.0) -> None:
        self.session = session
        self.draining = False
        """The server wants this runner to finish what it holds and leave."""
        self._client = client
        self._wait = wait
        self._log = structlog.get_logger()
        self._sending = asyncio.Lock()

    async def next_job(self) -> Assignment | None:
        """Wait until the server has a job; None if it wants the runner to leave instead.

        Raises what asking again would not change: ``SessionLost``, ``Unauthorized``.
        """
        link = _Link()
        while not self.draining:
            started = _now()
            try:
                reply = await self._client.heartbeat(self.session, wait=self._wait)
            except ProjectWError as error:
                if not passes_by_itself(error):
                    raise
                await link.failed(error)
                continue
            link.works()
            self._note(reply)
            if reply.job is not None:
                return reply.job
            if not self.draining:
                await _rest_of_round(started)
        return None

    async def listen(self, held: Held) -> None:
        """Renew the lease of ``held`` and hear of an abort, until cancelled or until there is nothing to hold."""
        link = _Link()
        while held.is_ours:
            started = _now()
            if await self._tell(held, held.status(), self._wait, link):
                await _rest_of_round(started)

    async def send(self, held: Held) -> None:
        """Send what the work on ``held`` brings, as it comes, until cancelled."""
        while True:
            await held.news.wait()
            await self.flush(held)
            await asyncio.sleep(SENDING_PAUSE)

    async def flush(self, held: Held) -> None:
        """Send all that the server lacks of ``held``, however long it takes to reach it.

        Returns early when the job is lost, which ``held`` then says.
        """
        link = _Link()
        async with self._sending:
            held.news.clear()
            while held.is_ours and (piece := next(held.unsent(), None)):
                if await self._tell(held, piece, 0.0, link):
                    held.note_stored(piece)

    async def _tell(self, held: Held, job: HeldJob, wait: float, link: "_Link") -> bool:
        """Send one heartbeat that names ``held``, and tell whether it was taken; if not, some time has passed."""
        try:
            reply = await self._client.heartbeat(self.session, wait=wait, job=job)
        except Gap as gap:
            self._log.warning("segments missing at the server", job_id=held.id, next=gap.next)
            held.rewind(gap.next)
            await link.failed(gap)
            return False
        except ProjectWError as error:
            if passes_by_itself(error):
                await link.failed(error)
            else:
                held.end_after(error)
            return False
        link.works()
        self._note(reply)
        if reply.abort:
            held.end(Ending.ABORTED)
        return True

    def _note(self, reply: HeartbeatReply) -> None:
        if reply.drain and not self.draining:
            self.draining = True
            self._log.info("the server asks this runner to drain: it leaves after the job that it holds")


class _Link:
    """Says once that the server cannot be reached and once that it can again, and waits in between."""

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._log = structlog.get_logger()

    async def failed(self, error: ProjectWError) -> None:
        level = self._log.warning if self._backoff.tries == 0 else self._log.debug
        level("heartbeat not taken, trying again", code=error.code, reason=error.detail)
        await self._backoff.pause(error)

    def works(self) -> None:
        if self._backoff.tries:
            self._log.info("heartbeat taken again", tries=self._backoff.tries)
            self._backoff.reset()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _rest_of_round(started: float) -> None:
    await asyncio.sleep(max(0.0, started + SHORTEST_ROUND - _now()))
