"""The order of the queue: by priority, and within one priority by start-time fair queueing.

A job's start tag is S = max(V, F): the virtual time V of its rank (the start tag last served), or the finish
tag F of its owner's last job of that rank, whichever is later; its finish tag is S + cost / weight. So the
jobs of somebody who submits five hundred are spread out behind the one job of somebody else.

After P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996. Tags are kept apart for each
priority: one urgent job must not push its owner's, or everybody's, place in the others.
"""

from dataclasses import dataclass

from projectw_server.db import Row, Statements, Transaction
from projectw_shared.jobs import JobState

BYTES_PER_SECOND = 16_000
"""What a second of audio weighs in the common currency, bytes: 128 kbit/s."""

WEIGHT = 1.0


@dataclass(frozen=True)
class Place:
    """Where a job stands in the order; smaller is earlier."""

    rank: int
    start_tag: float
    finish_tag: float


def cost(size: int, duration: float | None) -> float:
    """Return what a job costs its owner, in bytes: by its length when that is known, else by its size."""
    return float(size) if duration is None else duration * BYTES_PER_SECOND


async def find_place(
    transaction: Transaction, *, owner_id: str, priority: int, size: int, duration: float | None = None
) -> Place:
    """Return the place of a job that is submitted now.

    F counts the owner's jobs that were served or still wait: one cancelled before it began gives its turn back.
    """
    rank = -priority
    served = await transaction.row("SELECT value FROM virtual_times WHERE rank = $1", rank)
    own = await transaction.row(
        "SELECT finish_tag FROM jobs WHERE owner_id = $1 AND rank = $2"
        " AND (state <> 'cancelled' OR started_at IS NOT NULL) ORDER BY finish_tag DESC LIMIT 1",
        owner_id,
        rank,
    )
    deleted = await transaction.row(
        "SELECT finish_tag FROM shares WHERE owner_id = $1 AND rank = $2", owner_id, rank
    )
    start = max(
        served["value"] if served else 0.0,
        own["finish_tag"] if own else 0.0,
        deleted["finish_tag"] if deleted else 0.0,
    )
    return Place(rank, start, start + cost(size, duration) / WEIGHT)


async def serve(transaction: Transaction, rank: int, start_tag: float) -> None:
    """Let the virtual time of ``rank`` reach ``start_tag``: a job from there is being served."""
    await transaction.rows(
        "INSERT INTO virtual_times (rank, value) VALUES ($1, $2) ON CONFLICT (rank) DO UPDATE"
        " SET value = excluded.value WHERE excluded.value > virtual_times.value",
        rank,
        start_tag,
    )


async def keep_share(transaction: Transaction, job: Row) -> None:
    """Remember what a job has cost its owner although it is deleted now, or deleting would buy the next turn."""
    if job["started_at"] is None:
        return
    await transaction.rows(
        "INSERT INTO shares (owner_id, rank, finish_tag) VALUES ($1, $2, $3) ON CONFLICT (owner_id, rank)"
        " DO UPDATE SET finish_tag = excluded.finish_tag WHERE excluded.finish_tag > shares.finish_tag",
        job["owner_id"],
        job["rank"],
        job["finish_tag"],
    )


POSITION = (
    "SELECT COUNT(*) AS before FROM jobs WHERE state = 'queued' AND (rank, start_tag, id) < ($1, $2, $3)"
)
"""Counts the jobs that come before one, from the index of the queue alone."""

POSITIONS = (
    "SELECT id, place FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY rank, start_tag, id) AS place"
    " FROM jobs WHERE state = 'queued') AS queue WHERE id IN ({ids})"
)
"""Numbers the queue once for the jobs of a whole page."""


async def positions(statements: Statements, rows: list[Row]) -> dict[str, int]:
    """Return the place in the queue, 1 for the next, of those of the jobs ``rows`` that wait."""
    waiting = [row for row in rows if row["state"] == JobState.QUEUED]
    if len(waiting) == 1:
        job = waiting[0]
        found = await statements.row(POSITION, job["rank"], job["start_tag"], job["id"])
        return {job["id"]: found["before"] + 1} if found else {}
    if not waiting:
        return {}
    marks = ", ".join(f"${n}" for n in range(1, len(waiting) + 1))
    numbered = await statements.rows(POSITIONS.format(ids=marks), *(job["id"] for job in waiting))
    return {row["id"]: row["place"] for row in numbered}
