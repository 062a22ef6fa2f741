"""What a runner does with jobs: take one, go on with it, end it, give it back; and what happens if it does not.

The lease number is a fence: it grows with every assignment, and whoever comes with an older one changes
nothing. Renewing is a matter of memory, written at most every quarter of a lease.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from projectw_server.clock import Clock
from projectw_server.db import Database, Row, Statements, Transaction
from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.order import serve
from projectw_server.jobs.records import settings_of
from projectw_server.jobs.transcripts import append, last_segments
from projectw_shared.errors import Gap, LeaseLost
from projectw_shared.jobs import JobState
from projectw_shared.messages import Assignment, HeldJob, JobError, Result

LOST = JobError("runner-lost", "The runners that worked on this job stopped answering; try it again")

NOT_HELD = "This runner does not hold the job under this lease; drop it"


class NotFree(Exception):
    """The runner can take no job: its session has ended, or it holds a job already."""


@dataclass(frozen=True)
class Holder:
    """A runner in one of its registrations."""

    runner_id: str
    session: str
    name: str
    version: str


@dataclass
class _Renewal:
    lease: int
    until: float
    written_until: float


class Leases:
    """The jobs that runners hold."""

    def __init__(self, database: Database, moves: Moves, clock: Clock, *, lease_seconds: float) -> None:
        self._database = database
        self._moves = moves
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._renewals: dict[str, _Renewal] = {}

    async def claim(self, holder: Holder) -> Assignment | None:
        """Assign the first job of the queue to ``holder``, or return None if none waits.

        Raises NotFree when the session of ``holder`` is no longer valid or holds a job.
        """
        if await self._database.row("SELECT 1 AS any FROM jobs WHERE state = 'queued' LIMIT 1") is None:
            return None
        return await self._database.transaction(lambda transaction: self._claim(transaction, holder))

    async def _claim(self, transaction: Transaction, holder: Holder) -> Assignment | None:
        revision = await transaction.next_change()
        until = self._clock.now() + self._lease_seconds
        row = await transaction.row(
            "UPDATE jobs SET state = 'assigned', attempts = attempts + 1, lease = lease + 1, lease_expires_at = $1,"
            " runner_id = $2, runner_session = $3, runner_name = $4, runner_version = $5, revision = $6"
            " WHERE state = 'queued' AND id ="
            " (SELECT id FROM jobs WHERE state = 'queued' ORDER BY rank, start_tag, id LIMIT 1)"
            " AND EXISTS (SELECT 1 FROM runners WHERE id = $2 AND session = $3)"
            " AND NOT EXISTS (SELECT 1 FROM jobs AS held WHERE held.runner_id = $2"
            " AND held.state IN ('assigned', 'running')) RETURNING *",
            until,
            holder.runner_id,
            holder.session,
            holder.name,
            holder.version,
            revision,
        )
        if row is None:
            if await transaction.row("SELECT 1 AS any FROM jobs WHERE state = 'queued' LIMIT 1"):
                raise NotFree
            return None
        await serve(transaction, row["rank"], row["start_tag"])
        await self._moves.announce(transaction, row)
        return await self._assignment(transaction, row)

    async def held_by(self, holder: Holder) -> Assignment | None:
        """Return the job that ``holder`` has, under the same lease, for a runner whose answer was lost."""
        row = await self._database.row(
            "SELECT * FROM jobs WHERE runner_id = $1 AND state IN ('assigned', 'running') AND runner_session = $2",
            holder.runner_id,
            holder.session,
        )
        return await self._assignment(self._database, row) if row else None

    async def beat(self, holder: Holder, held: HeldJob) -> bool:
        """Take a working runner's heartbeat: renew its lease, store what it brings; tell whether to abort.

        Raises LeaseLost if the job is not, or no longer, this session's under this lease; Gap if segments are
        missing in between.
        """
        row = await self._valid(self._database, holder, held.id, held.lease)
        now = self._clock.now()
        until = now + self._lease_seconds
        if self._is_durable(row, held):
            row = await self._database.transaction(lambda tx: self._store(tx, holder, held, until))
            self._renewals[held.id] = _Renewal(held.lease, until, until)
        elif self._renew(held, row["lease_expires_at"], until) and not await self._write_renewal(
            held.id, held.lease, until
        ):
            raise LeaseLost(NOT_HELD)
        if self._moves.progress.note(held.id, held.lease, held.progress, now):
            self._moves.announce_progress(row)
        return bool(row["cancel_requested"])

    async def is_to_abort(self, holder: Holder, job_id: str, lease: int) -> bool:
        """Tell whether the holder of a job is to let go of it.

        Not when its own result was taken meanwhile; raises LeaseLost if it lost the job in another way.
        """
        try:
            row = await self._valid(self._database, holder, job_id, lease)
        except LeaseLost:
            if await self._was_delivered(self._database, holder.runner_id, job_id, lease):
                return False
            raise
        return bool(row["cancel_requested"])

    @staticmethod
    def _is_durable(row: Row, held: HeldJob) -> bool:
        return bool(
            row["state"] == JobState.ASSIGNED
            or held.segments
            or (held.first or 0) > row["segment_count"]
            or (held.resume_at or 0) > row["resume_at"]
            or (held.duration is not None and held.duration != row["duration"])
            or (held.language is not None and held.language != row["language"])
        )

    async def _store(self, transaction: Transaction, holder: Holder, held: HeldJob, until: float) -> Row:
        revision = await transaction.next_change(2)
        row = await self._valid(transaction, holder, held.id, held.lease)
        added = []
        if held.first is not None:
            # Also without segments: after a gap, silence must not move the place to go on from past it.
            added = await append(transaction, row, held.first, held.segments or [], revision)
        changes: dict[str, Any] = {
            "lease_expires_at": until,
            "segment_count": row["segment_count"] + len(added),
            # A repeated, older heartbeat must not take back what is stored.
            "resume_at": max(row["resume_at"], held.resume_at or 0.0),
            "duration": row["duration"] if held.duration is None else held.duration,
            "language": held.language or row["language"],
        }
        self._moves.progress.note(held.id, held.lease, held.progress, self._clock.now())
        return await self._moves.move(transaction, row, Event.BEAT, revision, added=added, **changes)

    def _renew(self, held: HeldJob, written_until: float, until: float) -> bool:
        """Note the renewal in memory; tell whether it is time to write it."""
        known = self._renewals.get(held.id)
        if known is None or known.lease != held.lease:
            known = self._renewals[held.id] = _Renewal(held.lease, until, written_until)
        known.until = until
        return until - known.written_until >= self._lease_seconds / 4

    async def _write_renewal(self, job_id: str, lease: int, until: float) -> bool:
        """Write a renewal; tell whether the lease was still valid."""
        written = await self._database.row(
            "UPDATE jobs SET lease_expires_at = $1 WHERE id = $2 AND lease = $3"
            " AND state IN ('assigned', 'running') RETURNING id",
            until,
            job_id,
            lease,
        )
        if (known := self._renewals.get(job_id)) and known.lease == lease:
            known.written_until = until
        return written is not None

    async def finish(self, runner_id: str, job_id: str, result: Result) -> None:
        """Take a result; one that was taken before, known by its lease, changes nothing.

        Raises LeaseLost if the lease is not valid, Gap if the number of segments is not the one stored.
        """

        async def work(transaction: Transaction) -> None:
            revision = await transaction.next_change()
            row = await transaction.row(
                "SELECT * FROM jobs WHERE id = $1 AND lease = $2 AND runner_id = $3"
                " AND state IN ('assigned', 'running')",
                job_id,
                result.lease,
                runner_id,
            )
            if row is None:
                # Looked up only now: a lease that still counts has not been delivered under.
                if await self._was_delivered(transaction, runner_id, job_id, result.lease):
                    return
                raise LeaseLost("This lease is no longer valid; drop the job")
            await self._end(transaction, row, result, revision)
            await transaction.rows(
                "INSERT INTO deliveries (job_id, lease, runner_id) VALUES ($1, $2, $3)",
                job_id,
                result.lease,
                runner_id,
            )
            self._moves.tell_runner(transaction, job_id)

        await self._database.transaction(work)
        self._renewals.pop(job_id, None)

    @staticmethod
    async def _was_delivered(statements: Statements, runner_id: str, job_id: str, lease: int) -> bool:
        found = await statements.row(
            "SELECT 1 AS any FROM deliveries WHERE job_id = $1 AND lease = $2 AND runner_id = $3",
            job_id,
            lease,
            runner_id,
        )
        return found is not None

    async def _end(self, transaction: Transaction, row: Row, result: Result, revision: int) -> None:
        if result.error is not None:
            event = Event.FAILED_FOR_NOW if result.error.retryable else Event.FAILED
            await self._moves.move(transaction, row, event, revision, error=result.error)
            return
        if result.next != row["segment_count"]:
            raise Gap(f"{row['segment_count']} segments are stored", next=row["segment_count"])
        await self._moves.move(
            transaction,
            row,
            Event.SUCCEEDED,
            revision,
            language=result.language or row["language"],
            duration=row["duration"] if result.duration is None else result.duration,
            started_at=row["started_at"] or self._clock.now(),
        )

    async def hand_back(self, job_id: str, lease: int) -> None:
        """Put a job back into the queue as if it had never been assigned, if ``lease`` is still valid."""

        async def work(transaction: Transaction) -> None:
            revision = await transaction.next_change()
            row = await self._held(transaction, "id = $1 AND lease = $2", job_id, lease)
            if row:
                await self._moves.move(transaction, row[0], Event.HANDED_BACK, revision)

        await self._database.transaction(work)

    async def let_go(self, transaction: Transaction, runner_id: str, event: Event, revision: int) -> None:
        """Let a runner's job go, in the transaction that ends its registration."""
        for row in await self._held(transaction, "runner_id = $1", runner_id):
            await self._moves.move(transaction, row, event, revision, error=LOST)
            self._moves.tell_runner(transaction, row["id"])
            self._renewals.pop(row["id"], None)

    async def renew_all(self) -> None:
        """Give every held job a full lease from now: the server has just started."""
        await self._database.rows(
            "UPDATE jobs SET lease_expires_at = $1 WHERE state IN ('assigned', 'running')",
            self._clock.now() + self._lease_seconds,
        )

    async def expire(self) -> int:
        """Queue again every job whose lease has run out; returns how many."""
        now = self._clock.now()
        rows = await self._held(self._database, "lease_expires_at < $1", now)
        self._renewals = {job_id: each for job_id, each in self._renewals.items() if each.until > now}
        expired = 0
        for row in rows:
            known = self._renewals.get(row["id"])
            if known and known.lease == row["lease"]:
                await self._write_renewal(row["id"], row["lease"], known.until)
                continue
            expired += await self._database.transaction(self._expiry_of(row))
        return expired

    def _expiry_of(self, seen: Row) -> Callable[[Transaction], Awaitable[bool]]:
        async def work(transaction: Transaction) -> bool:
            revision = await transaction.next_change()
            # Looked at again: since then the runner may have beaten or finished.
            rows = await self._held(
                transaction, "id = $1 AND lease = $2 AND lease_expires_at = $3",
                seen["id"], seen["lease"], seen["lease_expires_at"],
            )  # fmt: skip
            for row in rows:
                await self._moves.move(transaction, row, Event.LEASE_EXPIRED, revision, error=LOST)
                self._moves.tell_runner(transaction, row["id"])
            return bool(rows)

        return work

    async def audio_of(self, runner_id: str, job_id: str, lease: int) -> Row:
        """Return the job whose recording a runner may read: the one that it holds under ``lease``."""
        rows = await self._held(
            self._database, "id = $1 AND lease = $2 AND runner_id = $3", job_id, lease, runner_id
        )
        if not rows:
            raise LeaseLost(
                "This lease is not valid; the recording is only for the runner that holds the job"
            )
        return rows[0]

    async def _held(self, statements: Statements, condition: str, *values: Any) -> list[Row]:
        return await statements.rows(
            f"SELECT * FROM jobs WHERE state IN ('assigned', 'running') AND {condition}",  # noqa: S608  conditions of ours
            *values,
        )

    async def _valid(self, statements: Statements, holder: Holder, job_id: str, lease: int) -> Row:
        rows = await self._held(
            statements,
            "id = $1 AND lease = $2 AND runner_id = $3 AND runner_session = $4",
            job_id,
            lease,
            holder.runner_id,
            holder.session,
        )
        if not rows:
            raise LeaseLost(NOT_HELD)
        return rows[0]

    async def _assignment(self, statements: Statements, row: Row) -> Assignment:
        return Assignment(
            id=row["id"],
            lease=row["lease"],
            file_name=row["file_name"],
            bytes=row["bytes"],
            sha256=row["sha256"],
            settings=settings_of(row),
            language=row["language"],
            duration=row["duration"],
            first=row["segment_count"],
            resume_at=row["resume_at"],
            segments=await last_segments(statements, row),
        )
