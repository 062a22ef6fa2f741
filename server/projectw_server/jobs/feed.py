"""The change feed: what a user's client has missed, and then everything that happens."""

from collections.abc import AsyncGenerator

import msgspec

from projectw_server.clock import Clock
from projectw_server.db import Database, Row, Transaction
from projectw_server.events.bus import Bus
from projectw_server.jobs.order import positions
from projectw_server.jobs.progress import Progress
from projectw_server.jobs.records import to_job
from projectw_shared.events import EventName, ServerSentEvent
from projectw_shared.messages import Hello, JobDeleted, SegmentsAdded
from projectw_shared.transcripts import Segment

DELETIONS_KEPT_SECONDS = 24 * 3600.0
CHANGES_AT_ONCE = 200
MAX_DIGITS = 19
"""Those of the largest change number that the database can keep."""


class Feed:
    """Streams of events, each of one user."""

    def __init__(self, database: Database, bus: Bus, progress: Progress, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._progress = progress
        self._clock = clock

    async def stream(self, user_id: str, last_seen: str | None) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield ``hello``, the present state of all that changed after ``last_seen``, then news as they happen.

        ``last_seen`` is the Last-Event-ID of the request; what cannot be answered from is met by ``reset``. The
        stream ends when the server stops or the client is too slow.
        """
        # Subscribed before anything is read: what happens meanwhile waits, and nothing falls in between.
        with self._bus.subscribe(user_id) as subscription:
            current = await self._counter("change")
            resumed = None if last_seen is None else await self._resumable(last_seen, current)
            seen = current if resumed is None else resumed
            # A client that resumes keeps its own place until it has been sent what it missed.
            yield ServerSentEvent(EventName.HELLO, msgspec.json.encode(Hello(current)), seen)
            if resumed is not None:
                async for event in self._missed(user_id, resumed):
                    seen = event.id or seen
                    yield event
                # Momentary news that waited meanwhile may be older than the state that was just sent.
                subscription.drop_momentary()
            elif last_seen is not None:
                yield ServerSentEvent(EventName.RESET)
            async for event in subscription:
                if event.id is None or event.id > seen:
                    yield event

    async def _resumable(self, last_seen: str, current: int) -> int | None:
        """Return the change number to go on from, or None if it is unknown or its deletions are forgotten."""
        if len(last_seen) > MAX_DIGITS or not last_seen.isascii() or not last_seen.isdigit():
            return None
        number = int(last_seen)
        return number if await self._counter("horizon") <= number <= current else None

    async def _missed(self, user_id: str, since: int) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield what changed after ``since`` in the order of the changes, each job in its present state.

        A job that changes while this goes on appears again further down, so at the end nothing up to the last
        number sent is missing.
        """
        after = since
        while changes := await self._database.rows(
            "SELECT id, revision, FALSE AS deleted FROM jobs WHERE owner_id = $1 AND revision > $2"
            " UNION ALL"
            " SELECT job_id, revision, TRUE FROM deletions WHERE owner_id = $1 AND revision > $2"
            " ORDER BY revision LIMIT $3",
            user_id,
            after,
            CHANGES_AT_ONCE,
        ):
            for change in changes:
                after = change["revision"]
                if change["deleted"]:
                    gone = msgspec.json.encode(JobDeleted(change["id"]))
                    yield ServerSentEvent(EventName.DELETED, gone, after)
                    continue
                async for event in self._present(change["id"], after, since):
                    yield event

    async def _present(self, job_id: str, revision: int, since: int) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield what was added to a job's transcript after ``since``, then the job as it is now."""
        row = await self._database.row("SELECT * FROM jobs WHERE id = $1", job_id)
        if row is None:
            return
        if segments := await self._segments(job_id, since):
            added = SegmentsAdded(job_id, segments, segments[-1].id + 1)
            yield ServerSentEvent(EventName.SEGMENTS, msgspec.json.encode(added))
        place = (await positions(self._database, [row])).get(job_id)
        job = msgspec.json.encode(to_job(row, self._progress, place))
        # The number under which the change was found, not a later one: changes in between are still to come.
        yield ServerSentEvent(EventName.JOB, job, revision)

    async def _segments(self, job_id: str, since: int) -> list[Segment]:
        rows: list[Row] = await self._database.rows(
            "SELECT body FROM segments WHERE job_id = $1 AND revision > $2 ORDER BY number", job_id, since
        )
        return [msgspec.json.decode(row["body"], type=Segment) for row in rows]

    async def _counter(self, name: str) -> int:
        row = await self._database.row("SELECT value FROM counters WHERE name = $1", name)
        return int(row["value"]) if row else 0

    async def forget_old_deletions(self) -> None:
        """Drop deletions older than a day; whoever was away for longer lists anew."""

        async def work(transaction: Transaction) -> None:
            gone = await transaction.rows(
                "DELETE FROM deletions WHERE deleted_at < $1 RETURNING revision",
                self._clock.now() - DELETIONS_KEPT_SECONDS,
            )
            if gone:
                await transaction.rows(
                    "UPDATE counters SET value = $1 WHERE name = 'horizon' AND value < $1",
                    max(row["revision"] for row in gone),
                )

        await self._database.transaction(work)
