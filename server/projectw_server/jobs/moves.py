"""The one way in which a job changes its state: a conditional UPDATE, then the news of it.

The caller has read the row and locked it; the state machine is asked, the owner's next change number taken, and
the row updated only if it is still as it was read.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Row, Transaction
from projectw_server.events.bus import Bus
from projectw_server.events.signals import Changed, JobNews, Progressed, Queued, Signals
from projectw_server.jobs.lifecycle import Event, Standing, advance
from projectw_server.jobs.order import positions
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.records import standing_of, to_job
from projectw_server.jobs.transcripts import append
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

_FAILED_THERE = (Event.FAILED_FOR_NOW, Event.LEASE_EXPIRED)
"""What speaks against trying a job at the same runner again, if there is another."""


class Moved(NamedTuple):
    """One move of a job: what happened (None: it was submitted), the row before where it was read, and after."""

    event: Event | None
    before: Row | None
    after: Row
    at: float
    error: JobError | None = None


class Moves:
    """Moves jobs from state to state and tells those who watch or wait.

    ``on_moved`` hears of each move, at the server that makes it, once it is committed.
    """

    def __init__(
        self, *, clock: Clock, bus: Bus, signals: Signals, outlook: Outlook, max_attempts: int
    ) -> None:
        self.clock = clock
        self.outlook = outlook
        self.progress = outlook.progress
        self.on_moved: list[Callable[[Moved], object]] = []
        self._bus = bus
        self._signals = signals
        self._max_attempts = max_attempts

    async def move(
        self,
        transaction: Transaction,
        row: Row,
        event: Event,
        *,
        error: JobError | None = None,
        added: list[Segment] | None = None,
        **changes: Any,
    ) -> Row:
        """Let ``event`` happen to the job ``row``, with further ``changes`` of columns, and return the new row.

        ``error`` is kept if the job has failed by it; ``added`` are segments that came with the event, stored here.
        Raises IllegalMove when the state does not allow the event or another server was faster.
        """
        before = standing_of(row)
        after = advance(before, event, max_attempts=self._max_attempts)
        # Segments are a change of their own, the last of the two.
        revision = await transaction.next_change(row["owner_id"], 2 if added else 1)
        if added:
            await append(transaction, row["id"], added, revision)
        changed = await self._update(
            transaction,
            row,
            revision,
            **{
                "state": after.state.value,
                "attempts": after.attempts,
                "cancel_requested": after.cancel_requested,
                **self._consequences(row, before, after, event, error),
                **changes,
            },
        )
        if after.state is JobState.QUEUED:
            self.tell_queued(transaction, changed)
        if not after.state.is_held:
            transaction.after_commit.append(lambda: self.progress.forget(row["id"]))
        self.tell_moved(transaction, event, row, changed, error)
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
            self._signals.tell_others(Changed(owner, revision))
            # Asked again: somebody may have begun to watch before the commit, and must not miss it.
            if not self._bus.is_watched(owner):
                return
            job = msgspec.json.encode(to_job(row, self.outlook, place, self.clock.now()))
            self._bus.publish(owner, ServerSentEvent(EventName.JOB, job, revision - 1 if added else revision))
            if added:
                news = msgspec.json.encode(SegmentsAdded(row["id"], added, row["segment_count"]))
                self._bus.publish(owner, ServerSentEvent(EventName.SEGMENTS, news, revision))

        transaction.after_commit.append(publish)

    def tell_moved(
        self,
        transaction: Transaction,
        event: Event | None,
        before: Row | None,
        after: Row,
        error: JobError | None = None,
    ) -> None:
        """Let ``on_moved`` hear of a move, once the transaction is committed."""
        moved = Moved(event, before, after, self.clock.now(), error)
        transaction.after_commit += [partial(call, moved) for call in self.on_moved]

    def announce_progress(self, row: Row) -> None:
        """Tell of progress: nothing durable, so without a number, and stale as soon as the next one comes."""
        owner = row["owner_id"]
        told = self.progress.of(row["id"]) or 0.0
        self._signals.tell_others(Progressed(owner, row["id"], row["lease"], told))
        self.show(row)

    def show(self, row: Row, place: int | None = None) -> None:
        """Send the job, as it is and at its ``place`` in the queue, to its owner's streams at this server."""
        owner = row["owner_id"]
        if self._bus.is_watched(owner):
            job = msgspec.json.encode(to_job(row, self.outlook, place, self.clock.now()))
            self._bus.publish(owner, ServerSentEvent(EventName.JOB, job), stale_key=row["id"])

    def announce_deleted(self, transaction: Transaction, row: Row, revision: int) -> None:
        """Tell the owner's streams that the job is gone, once the transaction is committed."""
        owner = row["owner_id"]
        event = ServerSentEvent(EventName.DELETED, msgspec.json.encode(JobDeleted(row["id"])), revision)
        transaction.after_commit.append(lambda: self._bus.publish(owner, event))
        transaction.after_commit.append(lambda: self._signals.tell_others(Changed(owner, revision)))
        transaction.after_commit.append(lambda: self.progress.forget(row["id"]))
        self.tell_runner(transaction, row["id"])

    def tell_runner(self, transaction: Transaction, job_id: str) -> None:
        """Let the heartbeat of the job's runner be answered, once the transaction is committed."""
        transaction.after_commit.append(lambda: self._signals.tell(JobNews(job_id)))

    def tell_queued(self, transaction: Transaction, row: Row) -> None:
        """Let a runner be found for the job ``row``, once the transaction is committed."""
        signal = Queued(row["needs"])
        # At this server the dispatcher tells the others when it has nobody; unless it must be another's anyhow.
        tell = self._signals.tell if row["failed_runner_id"] else self._signals.tell_here
        transaction.after_commit.append(lambda: tell(signal))

    def _consequences(
        self, row: Row, before: Standing, after: Standing, event: Event, error: JobError | None
    ) -> dict[str, Any]:
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
                "failed_runner_id": row["runner_id"] if event in _FAILED_THERE else None,
            }
        if after.state.is_over and after.state is not before.state:
            columns["finished_at"] = now
        if after.state is JobState.FAILED and error is not None:
            columns |= {"error_code": error.code, "error_message": error.message}
        return columns
