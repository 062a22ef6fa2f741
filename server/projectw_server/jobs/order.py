"""The order of the queue: by priority, and within one priority by start-time fair queueing.

A job's start tag is S = max(V, F): the virtual time V of its rank (the start tag last served), or the finish
tag F of its owner's last job of that rank, whichever is later; its finish tag is S + cost / weight. So the
jobs of somebody who submits five hundred are spread out behind the one job of somebody else.

After P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996. Tags are kept apart for each
priority: one urgent job must not push its owner's, or everybody's, place in the others.
"""

from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from projectw_server.clock import Clock
from projectw_server.db import Row, Statements, Transaction
from projectw_shared.jobs import JobState

BYTES_PER_SECOND = 16_000
"""What a second of audio weighs in the common currency, bytes: 128 kbit/s."""

WEIGHT = 1.0

SHARED_PAUSE_SECONDS = 0.2


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
    statements: Statements, *, owner_id: str, priority: int, size: int, duration: float | None = None
) -> Place:
    """Return the place of a job that is submitted now.

    F counts the owner's jobs that were served or still wait: one cancelled before it began gives its turn back.
    """
    rank = -priority
    tags = await statements.row(
        "SELECT (SELECT value FROM virtual_times WHERE rank = $2) AS served,"
        " (SELECT finish_tag FROM jobs WHERE owner_id = $1 AND rank = $2"
        " AND (state <> 'cancelled' OR started_at IS NOT NULL) ORDER BY finish_tag DESC LIMIT 1) AS own,"
        " (SELECT finish_tag FROM shares WHERE owner_id = $1 AND rank = $2) AS deleted",
        owner_id,
        rank,
    )
    assert tags is not None
    start = max(tags["served"] or 0.0, tags["own"] or 0.0, tags["deleted"] or 0.0)
    return Place(rank, start, start + cost(size, duration) / WEIGHT)


class VirtualTimes:
    """The virtual times, moved by what is served.

    On a shared database the row of a rank is one that all servers write: each does so now and then only. A virtual
    time that is a little behind gives newcomers a little of what others had already, and nothing else.
    """

    def __init__(self, clock: Clock, *, is_shared: bool) -> None:
        self._clock = clock
        self._pause = SHARED_PAUSE_SECONDS if is_shared else 0.0
        self._written_at: dict[int, float] = {}

    async def serve(self, transaction: Transaction, rank: int, start_tag: float) -> None:
        """Let the virtual time of ``rank`` reach ``start_tag``: a job from there is being served."""
        now = self._clock.now()
        if self._pause and now - self._written_at.get(rank, -self._pause) < self._pause:
            return
        self._written_at[rank] = now
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


QUEUED = "SELECT COUNT(*) AS jobs FROM jobs WHERE state = 'queued'"
BEFORE = " AND (rank, start_tag, id) < (${}, ${}, ${})"
FROM = " AND (rank, start_tag, id) >= (${}, ${}, ${})"


async def positions(statements: Statements, rows: list[Row]) -> dict[str, int]:
    """Return the place in the queue, 1 for the next, of those of the jobs ``rows`` that wait.

    Counted from one of them to the next, so that the index of the queue is walked once for a whole page.
    """
    waiting = sorted((row for row in rows if row["state"] == JobState.QUEUED), key=_key)
    if not waiting:
        return {}
    marks = [range(3 * n + 1, 3 * n + 4) for n in range(len(waiting))]
    counts = [QUEUED + BEFORE.format(*marks[0])]
    counts += [QUEUED + FROM.format(*before) + BEFORE.format(*mark) for before, mark in pairwise(marks)]
    numbered = [f"({count}) AS n{n}" for n, count in enumerate(counts)]
    found = await statements.row(f"SELECT {', '.join(numbered)}", *chain.from_iterable(map(_key, waiting)))
    assert found is not None, "counting gives a row"
    steps = accumulate(found[f"n{n}"] for n in range(len(waiting)))
    return {row["id"]: before + 1 for row, before in zip(waiting, steps, strict=True)}


def _key(row: Row) -> tuple[int, float, str]:
    return row["rank"], row["start_tag"], row["id"]
