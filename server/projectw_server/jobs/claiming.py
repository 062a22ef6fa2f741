"""Claiming: the first job of the queue that a runner can do becomes its job.

On a database that several servers share, a claim locks the runner's row, so that its session cannot change
meanwhile, then the first job that nobody else is just claiming.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from projectw_server.db import Row, Statements, Transaction, marks


class NotFree(Exception):
    """The runner can take no job: its session has ended, it is to take none, or it holds one already."""


@dataclass(frozen=True)
class Holder:
    """A runner in one of its registrations. ``offers`` are the needs that it fulfils (``jobs.needs``)."""

    runner_id: str
    session: str
    name: str
    version: str
    offers: tuple[str, ...]


async def check_free(transaction: Transaction, holder: Holder) -> None:
    """Lock the runner's row until the commit. Raises NotFree."""
    row = await transaction.row(
        # A job that it takes at another server in this very moment is not seen here; the index of one each refuses it.
        "SELECT session, cordoned, draining, EXISTS (SELECT 1 FROM jobs WHERE jobs.runner_id = runners.id"
        " AND jobs.state IN ('assigned', 'running')) AS works FROM runners WHERE id = $1 FOR UPDATE",
        holder.runner_id,
    )
    is_free = row is not None and not (row["works"] or row["cordoned"] or row["draining"])
    if row is None or not is_free or row["session"] != holder.session:
        raise NotFree


async def find_candidate(statements: Statements, holder: Holder, *, is_alone: bool) -> str | None:
    """Return the id of the first job that ``holder`` can do, without locking it.

    A job that it let go of before is left for another, unless it ``is_alone`` in what it offers.
    """
    row = await statements.lookup(_candidate(len(holder.offers), is_alone), *_values(holder, is_alone))
    return row["id"] if row else None


async def lock_first(transaction: Transaction, holder: Holder, *, is_alone: bool) -> Row | None:
    """Return the first job that ``holder`` can do and nobody else is just claiming, locked until the commit."""
    candidate = _candidate(len(holder.offers), is_alone)
    row = await transaction.row(
        f"SELECT * FROM jobs WHERE id = ({candidate}) AND state = 'queued' FOR UPDATE SKIP LOCKED",  # noqa: S608  made below
        *_values(holder, is_alone),
    )
    if row is not None:
        return row
    # Another server is claiming that very job: now what is locked is passed over, which cannot be done above.
    return await transaction.row(
        f"SELECT * FROM jobs WHERE state = 'queued' AND needs IN ({marks(len(holder.offers))})"  # noqa: S608  marks only
        f"{_left_by_another(len(holder.offers), is_alone)}"
        " ORDER BY rank, start_tag, id LIMIT 1 FOR UPDATE SKIP LOCKED",
        *_values(holder, is_alone),
    )


def _values(holder: Holder, is_alone: bool) -> Sequence[str]:
    return holder.offers if is_alone else (*holder.offers, holder.runner_id)


@cache
def _candidate(count: int, is_alone: bool) -> str:
    """Return the statement for ``count`` offers: the first job of each need, and the first of them.

    Each is one look into the index of the queue, however many jobs wait that this runner cannot do.
    """
    firsts = " UNION ALL ".join(
        "SELECT * FROM (SELECT id, rank, start_tag FROM jobs"  # noqa: S608  marks only
        f" WHERE state = 'queued' AND needs = ${n}{_left_by_another(count, is_alone)}"
        f" ORDER BY rank, start_tag, id LIMIT 1) AS first{n}"
        for n in range(1, count + 1)
    )
    return f"SELECT id FROM ({firsts}) AS firsts ORDER BY rank, start_tag, id LIMIT 1"  # noqa: S608  made above


def _left_by_another(count: int, is_alone: bool) -> str:
    return "" if is_alone else f" AND (failed_runner_id IS NULL OR failed_runner_id <> ${count + 1})"
