"""Waiting for the ends of jobs: told by the server, over a line that may break and mend."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing

from projectw_shared.errors import NotFound
from projectw_shared.messages import Job, JobDeleted
from projectw_tui.client import Client
from projectw_tui.live import PASSING, Connected, Disconnected, Feed, Reset, backoff


class Ends:
    """The ends of some jobs. ``told`` hears of each change, ``broken`` once of each loss of the line."""

    def __init__(
        self,
        client: Client,
        job_ids: Iterable[str],
        *,
        told: Callable[[Job], None],
        broken: Callable[[Disconnected], None],
    ) -> None:
        self._client = client
        self._told = told
        self._broken = broken
        self._told_of_break = False
        loop = asyncio.get_running_loop()
        self._ends: dict[str, asyncio.Future[Job | None]] = {each: loop.create_future() for each in job_ids}

    async def of(self, job_id: str) -> Job | None:
        """Return the job once it is over, or None when it was deleted. ``watch`` has to run meanwhile."""
        return await self._ends[job_id]

    async def watch(self) -> None:
        """Listen until every job is over; each connection begins with a look at how they stand."""
        async with aclosing(Feed(self._client).news()) as news:
            async for item in news:
                match item:
                    case Connected() | Reset():
                        self._told_of_break = False
                        await self._look()
                    case Job():
                        self._note(item)
                    case JobDeleted():
                        self._end(item.job_id, None)
                    case Disconnected() if not self._told_of_break:
                        self._told_of_break = True
                        self._broken(item)
                if not self._pending():
                    return

    def _pending(self) -> list[str]:
        return [job_id for job_id, end in self._ends.items() if not end.done()]

    async def _look(self) -> None:
        for job_id in self._pending():
            failures = 0
            while True:
                try:
                    self._note(await self._client.job(job_id))
                    break
                except NotFound:
                    self._end(job_id, None)
                    break
                except PASSING:
                    await asyncio.sleep(backoff(failures))
                    failures += 1

    def _note(self, job: Job) -> None:
        if job.id in self._ends and not self._ends[job.id].done():
            self._told(job)
            if job.state.is_over:
                self._end(job.id, job)

    def _end(self, job_id: str, job: Job | None) -> None:
        end = self._ends.get(job_id)
        if end is not None and not end.done():
            end.set_result(job)
