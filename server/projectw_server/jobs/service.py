"""What a user can do with jobs: submit, look, cancel, try again, delete."""

from dataclasses import dataclass

import msgspec
from msgspec.structs import astuple

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.principals import Person
from projectw_server.clock import Clock
from projectw_server.db import Conditions, Database, Duplicate, Row, Statements, Transaction, marks
from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.moves import Moves
from projectw_server.jobs.needs import need_of
from projectw_server.jobs.order import find_place, keep_share, positions
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.paging import add_search, cursor_at, position_of
from projectw_server.jobs.quotas import Quotas, Room, check_usage
from projectw_server.jobs.records import settings_of, to_job
from projectw_shared.accounts import Quota
from projectw_shared.errors import Forbidden, KeyReused, NotFound, QuotaExceeded, TooManyJobs
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import Job, JobList


@dataclass(frozen=True)
class Recording:
    """A recording that lies in storage, under the id that its job will have."""

    id: str
    file_name: str
    media_type: str
    bytes: int
    sha256: str


CANCELLED_AT_ONCE = 50


class Jobs:
    """The jobs of the users, each seen by its owner only."""

    def __init__(
        self, database: Database, moves: Moves, outlook: Outlook, clock: Clock, quotas: Quotas
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._moves = moves
        self._outlook = outlook
        self._clock = clock

    def check_settings(self, person: Person, settings: JobSettings) -> None:
        """Refuse settings that only an admin may use."""
        if settings.priority > 0 and not person.is_admin:
            raise Forbidden("A priority above 0 is for admins; yours may be between -10 and 0")

    async def room(self, person: Person, key: str | None, size: int) -> Room | None:
        """Return how many bytes of ``person`` may come in now, None without a quota of them.

        A recording of ``size`` bytes that may not be submitted is refused before it is received; but what was submitted
        under the Idempotency-Key ``key`` may come again, though there is no room for it. Raises QuotaExceeded and
        TooManyJobs.
        """
        quota = await self._quotas.admit(self._database, person.id)
        if quota == Quota():
            return None
        usage = await self._quotas.usage(self._database, person.id)
        if key is None:
            check_usage(quota, usage, size)
        if quota.bytes is None:
            return None
        known = key and await self._database.row(
            "SELECT bytes FROM jobs WHERE owner_id = $1 AND idempotency_key = $2", person.id, key
        )
        return Room(max(quota.bytes - usage.bytes, known["bytes"] if known else 0), quota.bytes, usage.bytes)

    async def find_submitted(
        self,
        person: Person,
        key: str,
        file_name: str,
        settings: JobSettings,
        *,
        size: int | None,
        sha256: str | None = None,
    ) -> Job | None:
        """Return the job that was submitted under the Idempotency-Key ``key``, if there is one.

        Raises KeyReused when what was submitted then was something else, as far as is known of this: its name,
        its settings, its ``size`` in bytes and its ``sha256``.
        """
        row = await self._database.row(
            "SELECT * FROM jobs WHERE owner_id = $1 AND idempotency_key = $2", person.id, key
        )
        if row is None:
            return None
        # By their values: a request's settings are of the strict twin of the stored ones' type.
        is_same = (
            row["file_name"] == file_name
            and astuple(settings_of(row)) == astuple(settings)
            and size in (None, row["bytes"])
            and sha256 in (None, row["sha256"])
        )
        if not is_same:
            raise KeyReused(
                "This Idempotency-Key was used for another recording or other settings; take a new one"
            )
        return await self._seen(self._database, row)

    async def submit(
        self, person: Person, recording: Recording, settings: JobSettings, key: str | None = None
    ) -> Job:
        """Put a stored recording into the queue; when this returns, nothing can lose it any more."""
        try:
            return await self._database.transaction(
                lambda transaction: self._insert(transaction, person, recording, settings, key)
            )
        except (Duplicate, QuotaExceeded, TooManyJobs):
            # What was submitted before does not count twice.
            found = key and await self.find_submitted(
                person, key, recording.file_name, settings, size=recording.bytes, sha256=recording.sha256
            )
            if not found:
                raise
            return found

    async def _insert(
        self,
        transaction: Transaction,
        person: Person,
        recording: Recording,
        settings: JobSettings,
        key: str | None,
    ) -> Job:
        quota = await self._quotas.admit(transaction, person.id)
        # Before the rest, so that two submissions of one user do not get the same place.
        revision = await transaction.next_change(person.id)
        await self._quotas.check(transaction, person.id, quota, size=recording.bytes)
        place = await find_place(
            transaction, owner_id=person.id, priority=settings.priority, size=recording.bytes
        )
        row = await transaction.row(
            "INSERT INTO jobs (id, owner_id, idempotency_key, file_name, media_type, bytes, sha256, settings,"
            " needs, state, cancel_requested, rank, start_tag, finish_tag, attempts, lease, segment_count, resume_at,"
            " resumed_from, created_at, revision)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', FALSE, $10, $11, $12, 0, 0, 0, 0, 0, $13, $14)"
            " RETURNING *",
            recording.id,
            person.id,
            key,
            recording.file_name,
            recording.media_type,
            recording.bytes,
            recording.sha256,
            msgspec.json.encode(settings).decode(),
            need_of(settings),
            place.rank,
            place.start_tag,
            place.finish_tag,
            self._clock.now(),
            revision,
        )
        assert row is not None
        await note(transaction, Action.JOB_SUBMITTED, recording.id, bytes=recording.bytes)
        self._moves.tell_queued(transaction, row)
        self._moves.tell_moved(transaction, None, None, row)
        await self._moves.announce(transaction, row)
        return await self._seen(transaction, row)

    async def get(self, person: Person, job_id: str) -> Job:
        """Return one job of ``person``."""
        return await self._seen(self._database, await self.row(person, job_id))

    async def row(self, person: Person, job_id: str, transaction: Transaction | None = None) -> Row:
        """Return the row of one job of ``person``, in a transaction locked until its commit.

        Raises NotFound also for the job of somebody else.
        """
        wanted = "SELECT * FROM jobs WHERE id = $1 AND owner_id = $2"
        if transaction is None:
            row = await self._database.lookup(wanted, job_id, person.id)
        else:
            row = await transaction.row(f"{wanted} FOR UPDATE", job_id, person.id)
        if row is None:
            raise NotFound("There is no such job")
        return row

    async def page(
        self, person: Person, *, states: list[JobState], text: str | None, limit: int, cursor: str | None
    ) -> JobList:
        """Return the jobs of ``person``, newest first: those in ``states``, if any, and named like ``text``."""
        wanted = Conditions()
        wanted.add("owner_id = {}", person.id)
        if cursor is not None:
            wanted.add("id < {}", position_of(cursor))
        wanted.add_one_of("state", [state.value for state in states])
        if text:
            add_search(wanted, "file_name", text)
        rows = await self._database.rows(
            f"SELECT * FROM jobs WHERE {wanted} ORDER BY id DESC LIMIT {limit + 1}",  # noqa: S608  conditions and a number of ours
            *wanted.values,
        )
        page = rows[:limit]
        places, now = await positions(self._database, page), self._clock.now()
        return JobList(
            [to_job(row, self._outlook, places.get(row["id"]), now) for row in page],
            cursor_at(page[-1]["id"]) if len(rows) > limit else None,
        )

    async def cancel(self, person: Person, job_id: str) -> Job:
        """Take a waiting job out of the queue, or ask the runner to let go; asking twice is the same."""

        async def work(transaction: Transaction) -> Job:
            row = await self.row(person, job_id, transaction)
            if row["state"] != JobState.CANCELLED and not row["cancel_requested"]:
                row = await self._moves.move(transaction, row, Event.CANCEL_ASKED)
                self._moves.tell_runner(transaction, job_id)
            return await self._seen(transaction, row)

        return await self._database.transaction(work)

    async def cancel_of_disabled(self) -> int:
        """Cancel what accounts that are disabled have waiting or under way; return how many jobs that were."""

        async def work(transaction: Transaction) -> int:
            rows = await transaction.rows(
                "SELECT * FROM jobs WHERE owner_id IN (SELECT id FROM users WHERE disabled AND erased_at IS NULL)"
                " AND state IN ('queued', 'assigned', 'running') AND NOT cancel_requested"
                " ORDER BY id LIMIT $1 FOR UPDATE",
                CANCELLED_AT_ONCE,
            )
            for row in rows:
                await self._moves.move(transaction, row, Event.CANCEL_ASKED)
                self._moves.tell_runner(transaction, row["id"])
            return len(rows)

        total = 0
        while count := await self._database.transaction(work):
            total += count
        return total

    async def retry(self, person: Person, job_id: str) -> Job:
        """Let a failed or cancelled job wait again, with all attempts and the segments that it has."""

        async def work(transaction: Transaction) -> Job:
            row = await self.row(person, job_id, transaction)
            place = await find_place(
                transaction,
                owner_id=person.id,
                priority=-row["rank"],
                size=row["bytes"],
                duration=row["duration"],
            )
            row = await self._moves.move(
                transaction,
                row,
                Event.RETRIED,
                start_tag=place.start_tag,
                finish_tag=place.finish_tag,
            )
            return await self._seen(transaction, row)

        return await self._database.transaction(work)

    async def delete(self, person: Person, job_id: str) -> None:
        """Delete a job with its transcript; its runner, if it has one, loses the lease.

        The recording in storage is the caller's to delete, after this returns.
        """

        async def work(transaction: Transaction) -> None:
            await self._remove(transaction, await self.row(person, job_id, transaction))

        await self._database.transaction(work)

    async def delete_some(self, owner_id: str, most: int) -> list[str]:
        """Delete up to ``most`` jobs of a user, and return their ids, whose recordings are the caller's to delete."""

        async def work(transaction: Transaction) -> list[str]:
            rows = await transaction.rows(
                "SELECT * FROM jobs WHERE owner_id = $1 ORDER BY id LIMIT $2 FOR UPDATE", owner_id, most
            )
            for row in rows:
                await self._remove(transaction, row)
            return [row["id"] for row in rows]

        return await self._database.transaction(work)

    async def _remove(self, transaction: Transaction, row: Row) -> None:
        owner_id, job_id = row["owner_id"], row["id"]
        revision = await transaction.next_change(owner_id)
        await keep_share(transaction, row)
        await transaction.rows("DELETE FROM jobs WHERE id = $1", job_id)
        await transaction.rows(
            "INSERT INTO deletions (job_id, owner_id, revision, deleted_at) VALUES ($1, $2, $3, $4)",
            job_id,
            owner_id,
            revision,
            self._clock.now(),
        )
        await note(transaction, Action.JOB_DELETED, job_id)
        self._moves.announce_deleted(transaction, row, revision)

    async def known(self, ids: list[str]) -> set[str]:
        """Return those of ``ids`` that are jobs."""
        return await known_jobs(self._database, ids)

    async def counts(self) -> dict[JobState, int]:
        """Return how many jobs wait or are worked on, everyone's together; indexed, unlike those that are over."""
        rows = await self._database.rows(
            "SELECT 'queued' AS state, count(*) AS number FROM jobs WHERE state = 'queued' UNION ALL"
            " SELECT state, count(*) FROM jobs WHERE state IN ('assigned', 'running') GROUP BY state"
        )
        found = {row["state"]: row["number"] for row in rows}
        states = (JobState.QUEUED, JobState.ASSIGNED, JobState.RUNNING)
        return {state: found.get(state.value, 0) for state in states}

    async def _seen(self, statements: Statements, row: Row) -> Job:
        place = (await positions(statements, [row])).get(row["id"])
        return to_job(row, self._outlook, place, self._clock.now())


async def known_jobs(statements: Statements, ids: list[str]) -> set[str]:
    """Return those of ``ids`` that are jobs."""
    rows = await statements.rows(f"SELECT id FROM jobs WHERE id IN ({marks(len(ids))})", *ids)  # noqa: S608  marks only
    return {row["id"] for row in rows}
