"""What a runner does with jobs: take one, go on with it, end it, give it back; and what happens if it does not.

The lease number is a fence: it grows with every assignment, and whoever comes with an older one changes
nothing. Renewing is a matter of memory, written at most every quarter of a lease.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Database, Duplicate, Row, Statements, Transaction
from projectw_server.jobs.claiming import Holder, NotFree, check_free, find_candidate, lock_first
from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.order import VirtualTimes
from projectw_server.jobs.quotas import charge
from projectw_server.jobs.records import settings_of
from projectw_server.jobs.renewals import Renewals
from projectw_server.jobs.transcripts import last_segments, new_of
from projectw_server.jobs.watch import LeaseWatch, Mark
from projectw_shared.errors import Gap, LeaseLost, TooLarge
from projectw_shared.jobs import JobState
from projectw_shared.messages import Assignment, HeldJob, JobError, Result

LOST = JobError("runner-lost", "The runners that worked on this job stopped answering; try it again")

MAX_TRANSCRIPT_BYTES = 128 * 1024 * 1024
"""What runners may bring of one job, as JSON: a hundred hours of speech with the times of its words. Whoever had a
runner's token could else fill the disk, and the memory when the transcript is read."""

MOST_COUNTED = 10_000
"""Jobs of which it is known how much was brought."""

NOT_HELD = "This runner does not hold the job under this lease; drop it"


class Leases:
    """The jobs that runners hold."""

    def __init__(self, database: Database, moves: Moves, clock: Clock, *, lease_seconds: float) -> None:
        self._database = database
        self._moves = moves
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._renewals = Renewals(lease_seconds)
        self._watch = LeaseWatch(lease_seconds)
        self._brought: Counter[str] = Counter()
        self._virtual_times = VirtualTimes(clock, is_shared=database.is_shared)

    async def claim(self, holder: Holder, *, is_alone: bool = True) -> Assignment | None:
        """Assign the first job of the queue that ``holder`` can do to it, or return None if none waits.

        One that ``holder`` let go of before is left for others unless it ``is_alone`` in what it offers. Raises
        NotFree when ``holder`` is to get no job, though one waits for which it would do.
        """
        if await find_candidate(self._database, holder, is_alone=is_alone) is None:
            return None
        try:
            return await self._database.transaction(lambda tx: self._claim(tx, holder, is_alone))
        except Duplicate as error:
            raise NotFree from error

    async def _claim(self, transaction: Transaction, holder: Holder, is_alone: bool) -> Assignment | None:
        await check_free(transaction, holder)
        found = await lock_first(transaction, holder, is_alone=is_alone)
        if found is None:
            return None
        now = self._clock.now()
        row = await self._moves.move(
            transaction,
            found,
            Event.CLAIMED,
            lease=found["lease"] + 1,
            lease_expires_at=now + self._lease_seconds,
            runner_id=holder.runner_id,
            runner_session=holder.session,
            runner_name=holder.name,
            runner_version=holder.version,
            resumed_from=found["resume_at"],
        )
        await self._virtual_times.serve(transaction, row["rank"], row["start_tag"])
        transaction.after_commit.append(lambda: self._watch.note(row["id"], _mark(row), now))
        return await self._assignment(transaction, row)

    async def held_by(self, holder: Holder) -> Assignment | None:
        """Return the job that ``holder`` has, under the same lease, for a runner whose answer was lost."""
        row = await self._database.lookup(
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
            self._note_written(held.id, Mark(held.lease, until))
        elif self._renewals.note(held.id, held.lease, until, row["lease_expires_at"]):
            await self._write_renewal(held.id, Mark(held.lease, until))
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
        row = await self._valid(transaction, holder, held.id, held.lease, lock=True)
        # Also without segments: after a gap, silence must not move the place to go on from past it.
        added = [] if held.first is None else new_of(row, held.first, held.segments or [])
        if added:
            self._count(transaction, held.id, len(msgspec.json.encode(added)))
        changes: dict[str, Any] = {
            "lease_expires_at": until,
            "segment_count": row["segment_count"] + len(added),
            # A repeated, older heartbeat must not take back what is stored.
            "resume_at": max(row["resume_at"], held.resume_at or 0.0),
            "duration": row["duration"] if held.duration is None else held.duration,
            "language": held.language or row["language"],
        }
        now = self._clock.now()
        await charge(transaction, row, held.duration, now)
        transaction.after_commit.append(
            lambda: self._moves.progress.note(held.id, held.lease, held.progress, now)
        )
        return await self._moves.move(transaction, row, Event.BEAT, added=added, **changes)

    def _count(self, transaction: Transaction, job_id: str, size: int) -> None:
        """Count what is brought of a job, in the memory of this server. Raises TooLarge."""
        if self._brought[job_id] + size > MAX_TRANSCRIPT_BYTES:
            raise TooLarge(f"The transcript of a job has at most {MAX_TRANSCRIPT_BYTES} bytes as JSON")

        def note() -> None:
            self._brought[job_id] += size
            while len(self._brought) > MOST_COUNTED:
                self._brought.pop(next(iter(self._brought)))

        transaction.after_commit.append(note)

    async def _write_renewal(self, job_id: str, mark: Mark) -> None:
        """Write a renewal. Raises LeaseLost when the lease was no longer valid."""
        written = await self._database.row(
            "UPDATE jobs SET lease_expires_at = $1 WHERE id = $2 AND lease = $3"
            " AND state IN ('assigned', 'running') RETURNING id",
            mark.until,
            job_id,
            mark.lease,
        )
        if written is None:
            self._renewals.forget(job_id)
            raise LeaseLost(NOT_HELD)
        self._note_written(job_id, mark)

    def _note_written(self, job_id: str, mark: Mark) -> None:
        self._renewals.written(job_id, mark.lease, mark.until)
        self._watch.note(job_id, mark, mark.until - self._lease_seconds)

    async def finish(self, runner_id: str, job_id: str, result: Result) -> Row | None:
        """Take a result and return the job's row as it was before.

        One that was taken before, known by its lease, changes nothing, and None is returned. Raises LeaseLost if
        the lease is not valid, Gap if the number of segments is not the one stored.
        """

        async def work(transaction: Transaction) -> Row | None:
            row = await transaction.row(
                "SELECT * FROM jobs WHERE id = $1 AND lease = $2 AND runner_id = $3"
                " AND state IN ('assigned', 'running') FOR UPDATE",
                job_id,
                result.lease,
                runner_id,
            )
            if row is None:
                # Looked up only now: a lease that still counts has not been delivered under.
                if await self._was_delivered(transaction, runner_id, job_id, result.lease):
                    return None
                raise LeaseLost("This lease is no longer valid; drop the job")
            await self._end(transaction, row, result)
            await transaction.rows(
                "INSERT INTO deliveries (job_id, lease, runner_id) VALUES ($1, $2, $3)",
                job_id,
                result.lease,
                runner_id,
            )
            self._moves.tell_runner(transaction, job_id)
            return row

        before = await self._database.transaction(work)
        self._renewals.forget(job_id)
        self._brought.pop(job_id, None)
        return before

    @staticmethod
    async def _was_delivered(statements: Statements, runner_id: str, job_id: str, lease: int) -> bool:
        found = await statements.row(
            "SELECT 1 AS taken FROM deliveries WHERE job_id = $1 AND lease = $2 AND runner_id = $3",
            job_id,
            lease,
            runner_id,
        )
        return found is not None

    async def _end(self, transaction: Transaction, row: Row, result: Result) -> None:
        if result.error is not None:
            event = Event.FAILED_FOR_NOW if result.error.retryable else Event.FAILED
            await self._moves.move(transaction, row, event, error=result.error)
            return
        if result.next != row["segment_count"]:
            raise Gap(f"{row['segment_count']} segments are stored", next=row["segment_count"])
        await charge(transaction, row, result.duration, self._clock.now())
        await self._moves.move(
            transaction,
            row,
            Event.SUCCEEDED,
            language=result.language or row["language"],
            duration=row["duration"] if result.duration is None else result.duration,
            started_at=row["started_at"] or self._clock.now(),
        )

    async def hand_back(self, job_id: str, lease: int) -> None:
        """Put a job back into the queue as if it had never been assigned, if ``lease`` is still valid."""

        async def work(transaction: Transaction) -> None:
            for row in await self._held(transaction, "id = $1 AND lease = $2 FOR UPDATE", job_id, lease):
                await self._moves.move(transaction, row, Event.HANDED_BACK)

        await self._database.transaction(work)

    async def let_go(self, transaction: Transaction, runner_id: str, event: Event) -> None:
        """Let a runner's job go, in the transaction that ends its registration and has locked its row."""
        for row in await self._held(transaction, "runner_id = $1 FOR UPDATE", runner_id):
            await self._moves.move(transaction, row, event, error=LOST)
            self._moves.tell_runner(transaction, row["id"])
            transaction.after_commit.append(partial(self._renewals.forget, row["id"]))

    async def defend(self) -> None:
        """Write the renewals that only this server knows of, before another could take their leases for lost."""
        for job_id, renewal in self._renewals.to_defend(self._clock.now()):
            with suppress(LeaseLost):
                await self._write_renewal(job_id, Mark(renewal.lease, renewal.until))

    async def expire(self) -> int:
        """Queue again every job whose lease has run out; returns how many."""
        await self.defend()
        held = await self._database.rows(
            "SELECT id, lease, lease_expires_at FROM jobs WHERE state IN ('assigned', 'running')"
        )
        marks = {row["id"]: _mark(row) for row in held}
        expired = 0
        for job_id in self._watch.lost(marks.items(), self._clock.now()):
            expired += await self._database.transaction(self._expiry_of(job_id, marks[job_id]))
        return expired

    def _expiry_of(self, job_id: str, seen: Mark) -> Callable[[Transaction], Awaitable[bool]]:
        async def work(transaction: Transaction) -> bool:
            # Looked at again: since then the runner may have beaten or finished.
            rows = await self._held(
                transaction, "id = $1 AND lease = $2 AND lease_expires_at = $3 FOR UPDATE",
                job_id, seen.lease, seen.until,
            )  # fmt: skip
            for row in rows:
                await self._moves.move(transaction, row, Event.LEASE_EXPIRED, error=LOST)
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

    async def may_read(self, runner_id: str, job_id: str, lease: int) -> bool:
        """Tell whether ``audio_of`` would still return that job."""
        try:
            await self.audio_of(runner_id, job_id, lease)
        except LeaseLost:
            return False
        return True

    async def _held(self, statements: Statements, condition: str, *values: Any) -> list[Row]:
        return await statements.rows(
            f"SELECT * FROM jobs WHERE state IN ('assigned', 'running') AND {condition}",  # noqa: S608  conditions of ours
            *values,
        )

    async def _valid(
        self, statements: Statements, holder: Holder, job_id: str, lease: int, *, lock: bool = False
    ) -> Row:
        row = await statements.lookup(
            "SELECT * FROM jobs WHERE id = $1 AND lease = $2 AND runner_id = $3 AND runner_session = $4"  # noqa: S608  words of ours
            " AND state IN ('assigned', 'running')" + (" FOR UPDATE" if lock else ""),
            job_id,
            lease,
            holder.runner_id,
            holder.session,
        )
        if row is None:
            raise LeaseLost(NOT_HELD)
        return row

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


def _mark(row: Row) -> Mark:
    return Mark(row["lease"], row["lease_expires_at"])
