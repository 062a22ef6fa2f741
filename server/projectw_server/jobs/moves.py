"""The one way in which a job changes its state: a conditional UPDATE, then the news of it.

Every transaction first takes the next change number, and with it the write lock; then the row is read, the
state machine asked, and the row updated only if it is still as it was read.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Row, Transaction
from projectw_server.events.bus import Bus
from projectw_server.jobs.lifecycle import Event, Standing, advance
from projectw_server.jobs.order import positions
from projectw_server.jobs.progress import Progress
from projectw_server.jobs.records import standing_of, to_job
from projectw_shared.errors import IllegalMove
from projectw_shared.events import EventName, ServerSentEvent
from projectw_shared.jobs import JobState
from projectw_shared.messages import JobDeleted, JobError, SegmentsAdded
from projectw_shared.transcripts import Segment

RUNNER_NONE: dict[str, Any] = {
    "runner_id": None,
    "runner_session": None,
    "runner_name": None,
    "runner_version": None,
    "lease_expires_at": None,
}


class Moves:
    """Moves jobs from state to state and tells those who watch or wait.

    ``on_queued`` is called when a job begins to wait, ``on_news`` with a job's id when its runner must hear
    something: that it was cancelled, or that its lease is gone.
    """

    def __init__(self, *, clock: Clock, bus: Bus, progress: Progress, max_attempts: int) -> None:
        self.clock = clock
        self.progress = progress
        self.on_queued: list[Callable[[], object]] = []
        self.on_news: list[Callable[[str], object]] = []
        self._bus = bus
        self._max_attempts = max_attempts

    async def move(
        self,
        transaction: Transaction,
        row: Row,
        event: Event,
        revision: int,
        *,
        error: JobError | None = None,
        added: list[Segment] | None = None,
        **changes: Any,
    ) -> Row:
        """Let ``event`` happen to the job ``row``, with further ``changes`` of columns, and return the new row.

        ``error`` is kept if the job has failed by it; ``added`` are segments that came with the event.
        Raises IllegalMove when the state does not allow the event or another server was faster.
        """
        before = standing_of(row)
        after = advance(before, event, max_attempts=self._max_attempts)
        changed = await self._update(
            transaction,
            row,
            revision,
            **{
                "state": after.state.value,
                "attempts": after.attempts,
                "cancel_requested": after.cancel_requested,
                **self._consequences(before, after, error),
                **changes,
            },
        )
        if after.state is JobState.QUEUED:
            transaction.after_commit += self.on_queued
        if not after.state.is_held:
            transaction.after_commit.append(lambda: self.progress.forget(row["id"]))
        await self.announce(transaction, changed, added)
        return changed

    async def _update(self, transaction: Transaction, row: Row, revision: int, **changes: Any) -> Row:
        """Change columns of a job, unless it is no longer as ``row`` says; returns the new row."""
        columns = {**changes, "revision": revision}
        assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, start=4))
        found = await transaction.row(
            f"UPDATE jobs SET {assignments} WHERE id = $1 AND state = $2 AND lease = $3 RETURNING *",  # noqa: S608  names of ours, no values
            row["id"],
            row["state"],
            row["lease"],
            *columns.values(),
        )
        if found is None:
            raise IllegalMove("The job has just changed; look at it again")
        return found

    async def announce(self, transaction: Transaction, row: Row, added: list[Segment] | None = None) -> None:
        """Tell the owner's open streams of the job and its new segments, once the transaction is committed.

        Segments are a change of their own, the last of the two: whoever has missed it is sent both again.
        """
        owner, revision = row["owner_id"], row["revision"]
        place = None
        if self._bus.is_watched(owner):
            place = (await positions(transaction, [row])).get(row["id"])

        def publish() -> None:
            # Asked again: somebody may have begun to watch before the commit, and must not miss it.
            if not self._bus.is_watched(owner):
                return
            job = msgspec.json.encode(to_job(row, self.progress, place))
            self._bus.publish(owner, ServerSentEvent(EventName.JOB, job, revision - 1 if added else revision))
            if added:
                news = msgspec.json.encode(SegmentsAdded(row["id"], added, row["segment_count"]))
                self._bus.publish(owner, ServerSentEvent(EventName.SEGMENTS, news, revision))

        transaction.after_commit.append(publish)

    def announce_progress(self, row: Row) -> None:
        """Tell of progress: nothing durable, so without a number, and stale as soon as the next one comes."""
        owner = row["owner_id"]
        if self._bus.is_watched(owner):
            job = msgspec.json.encode(to_job(row, self.progress, None))
            self._bus.publish(owner, ServerSentEvent(EventName.JOB, job), stale_key=row["id"])

    def announce_deleted(self, transaction: Transaction, row: Row, revision: int) -> None:
        """Tell the owner's streams that the job is gone, once the transaction is committed."""
        event = ServerSentEvent(EventName.DELETED, msgspec.json.encode(JobDeleted(row["id"])), revision)
        transaction.after_commit.append(lambda: self._bus.publish(row["owner_id"], event))
        transaction.after_commit.append(lambda: self.progress.forget(row["id"]))
        self.tell_runner(transaction, row["id"])

    def tell_runner(self, transaction: Transaction, job_id: str) -> None:
        """Let the heartbeat of the job's runner be answered, once the transaction is committed."""
        transaction.after_commit += [partial(call, job_id) for call in self.on_news]

    def _consequences(self, before: Standing, after: Standing, error: JobError | None) -> dict[str, Any]:
        """Return the columns that follow from where the job went."""
        now = self.clock.now()
        columns: dict[str, Any] = {}
        if after.state is JobState.RUNNING and before.state is JobState.ASSIGNED:
            columns["started_at"] = now
        if before.state.is_held and not after.state.is_held:
            columns["lease_expires_at"] = None
            columns["runner_session"] = None
        if after.state is JobState.QUEUED:
            columns |= RUNNER_NONE | {
                "started_at": None,
                "finished_at": None,
                "error_code": None,
                "error_message": None,
            }
        if after.state.is_over and after.state is not before.state:
            columns["finished_at"] = now
        if after.state is JobState.FAILED and error is not None:
            columns |= {"error_code": error.code, "error_message": error.message}
        return columns
