"""The change feed: what a user's client has missed, and then everything that happens."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

import msgspec
import structlog

from projectw_server.clock import Clock
from projectw_server.db import Database, Row, Transaction, marks
from projectw_server.events.bus import Bus
from projectw_server.events.signals import Changed, Missed
from projectw_server.jobs.order import positions
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.records import to_job
from projectw_shared.events import EventName, ServerSentEvent
from projectw_shared.messages import Hello, JobDeleted, SegmentsAdded
from projectw_shared.transcripts import Segment

DELETIONS_KEPT_SECONDS = 24 * 3600.0
CHANGES_AT_ONCE = 200
MAX_DIGITS = 19
"""Those of the largest change number that the database can keep."""

CAUGHT_UP_EVERY = 5.0
"""Seconds after which a stream has what another server did, though nothing was heard of it."""

RETRY_SECONDS = 1.0

CHANGED = "changed"
"""The name, never sent, of an event that only says that there is something to look up."""

_log = structlog.get_logger(__name__)


class Feed:
    """Streams of events, each of one user."""

    def __init__(self, database: Database, bus: Bus, outlook: Outlook, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._outlook = outlook
        self._clock = clock
        self._due = asyncio.Event()

    async def stream(self, user_id: str, last_seen: str | None) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield ``hello``, the present state of all that changed after ``last_seen``, then news as they happen.

        ``last_seen`` is the Last-Event-ID of the request; what cannot be answered from is met by ``reset``. The
        stream ends when the server stops or the client is too slow.
        """
        # Subscribed before anything is read: what happens meanwhile waits, and nothing falls in between.
        with self._bus.subscribe(user_id) as subscription:
            current, horizon = await self._numbers(user_id)
            resumed = None if last_seen is None else _resumable(last_seen, horizon, current)
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
                if event.id is None:
                    yield event
                elif event.id == seen + 1 and event.name != CHANGED:
                    seen = event.id
                    yield event
                elif event.id > seen:
                    # Another server has made a change, so only its number is known here, or one came out of turn.
                    async for missed in self._missed(user_id, seen):
                        seen = missed.id or seen
                        yield missed
                    seen = max(seen, event.id)

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
            jobs = await self._present([change["id"] for change in changes if not change["deleted"]])
            added = await self._added(user_id, after, changes[-1]["revision"])
            for change in changes:
                after = change["revision"]
                # All that was added up to here, of whatever job: a client that is cut off goes on from this number.
                for event in _take_until(added, after):
                    yield event
                if change["deleted"]:
                    gone = msgspec.json.encode(JobDeleted(change["id"]))
                    yield ServerSentEvent(EventName.DELETED, gone, after)
                elif job := jobs.get(change["id"]):
                    # The number under which the change was found, not a later one: those are still to come.
                    yield ServerSentEvent(EventName.JOB, job, after)

    async def _present(self, ids: list[str]) -> dict[str, bytes]:
        """Return jobs as they are now, without those that have just been deleted."""
        if not ids:
            return {}
        rows = await self._database.rows(f"SELECT * FROM jobs WHERE id IN ({marks(len(ids))})", *ids)  # noqa: S608  marks only
        places, now = await positions(self._database, rows), self._clock.now()
        return {
            row["id"]: msgspec.json.encode(to_job(row, self._outlook, places.get(row["id"]), now))
            for row in rows
        }

    async def _added(self, user_id: str, after: int, until: int) -> deque[Row]:
        """Return the segments that were appended after one change and until another, in that order."""
        return deque(
            await self._database.rows(
                "SELECT segments.job_id, segments.revision, segments.body FROM jobs"
                " JOIN segments ON segments.job_id = jobs.id AND segments.revision > $2"
                " WHERE jobs.owner_id = $1 AND jobs.revision > $2 AND segments.revision <= $3"
                " ORDER BY segments.revision, segments.number",
                user_id,
                after,
                until,
            )
        )

    async def _numbers(self, user_id: str) -> tuple[int, int]:
        """Return the user's change number, and that of the last deletion forgotten."""
        row = await self._database.row("SELECT change, horizon FROM feeds WHERE owner_id = $1", user_id)
        return (row["change"], row["horizon"]) if row else (0, 0)

    def look_soon(self, _signal: Missed) -> None:
        """Look after what may have been missed, soon."""
        self._due.set()

    async def watch(self) -> None:
        """Look from time to time whether a stream has missed something, and at once when there is reason to."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CAUGHT_UP_EVERY):
                    await self._due.wait()
            self._due.clear()
            try:
                await self.catch_up()
            except Exception:  # noqa: BLE001  nobody waits for this task; the next round tries again
                _log.exception("the streams could not be brought up to date")
                await asyncio.sleep(RETRY_SECONDS)

    async def catch_up(self) -> None:
        """Let every open stream look whether it has missed something that another server did."""
        watched = self._bus.watched()
        for start in range(0, len(watched), CHANGES_AT_ONCE):
            some = watched[start : start + CHANGES_AT_ONCE]
            for row in await self._database.rows(
                f"SELECT owner_id, change FROM feeds WHERE owner_id IN ({marks(len(some))})",  # noqa: S608  marks only
                *some,
            ):
                self.hear(Changed(row["owner_id"], row["change"]))

    def hear(self, signal: Changed) -> None:
        """Let the open streams of a user reach a change number."""
        event = ServerSentEvent(CHANGED, b"", signal.number)
        self._bus.publish(signal.owner_id, event, stale_key=CHANGED)

    async def forget_old_deletions(self) -> None:
        """Drop deletions older than a day; whoever was away for longer lists anew."""

        async def work(transaction: Transaction) -> None:
            gone = await transaction.rows(
                "DELETE FROM deletions WHERE deleted_at < $1 RETURNING owner_id, revision",
                self._clock.now() - DELETIONS_KEPT_SECONDS,
            )
            horizons: defaultdict[str, int] = defaultdict(int)
            for row in gone:
                horizons[row["owner_id"]] = max(horizons[row["owner_id"]], row["revision"])
            if horizons:
                await transaction.many(
                    "UPDATE feeds SET horizon = $2 WHERE owner_id = $1 AND horizon < $2",
                    # In one order everywhere, so that two servers do not wait for each other.
                    [[owner_id, number] for owner_id, number in sorted(horizons.items())],
                )

        await self._database.transaction(work)


def _resumable(last_seen: str, horizon: int, current: int) -> int | None:
    """Return the change number to go on from, or None if it is unknown or its deletions are forgotten."""
    if len(last_seen) > MAX_DIGITS or not last_seen.isascii() or not last_seen.isdigit():
        return None
    number = int(last_seen)
    return number if horizon <= number <= current else None


def _take_until(added: deque[Row], revision: int) -> Iterator[ServerSentEvent]:
    """Take out what was appended up to ``revision``, as one event for each job.

    Without a number: only the change that follows says that everything up to it was sent.
    """
    of_jobs: defaultdict[str, list[Segment]] = defaultdict(list)
    while added and added[0]["revision"] <= revision:
        row = added.popleft()
        of_jobs[row["job_id"]].append(msgspec.json.decode(row["body"], type=Segment))
    for job_id, segments in of_jobs.items():
        news = SegmentsAdded(job_id, segments, segments[-1].id + 1)
        yield ServerSentEvent(EventName.SEGMENTS, msgspec.json.encode(news))
