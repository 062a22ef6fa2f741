"""Forgetting old entries of the audit log, and telling that apart from somebody's taking them out.

They are cut off at the beginning. An entry tells of that, with the number and the hash of the last one that went, to
which the first one that is left is bound. It stands in the database, as they do: whoever writes there can write it, so
it is believed only where what is kept elsewhere allows it.
"""

import time
from itertools import takewhile
from typing import NamedTuple

import msgspec

from projectw_server.accounts.audit import Action, note
from projectw_server.db import Database, Transaction

CUT_AT_ONCE = 1000
DAY = 24 * 3600.0

LEAST_KEPT = DAY
"""What the settings let nobody fall below: an entry that is younger was not removed because of its age."""

SEALED_LATE = 3600.0
"""How much younger than its entry a head may be that was kept: sealing waits for a server that has ended."""


class Head(NamedTuple):
    """The number and the hash of an entry that is known to have been there, and when it was sealed (s)."""

    number: int
    hash: str
    sealed_at: float


class Cut(msgspec.Struct, frozen=True):
    """The number and the hash of the last entry that was cut off, and the time (s) that all of them are older than."""

    through: int
    hash: str
    before: float


NOTHING = Cut(0, "0" * 64, 0)
"""Nothing was cut off; the hash is what the first entry of all is bound to."""


class Fault(NamedTuple):
    """Where the chain is broken, and what is wrong there."""

    number: int
    what: str


async def cut_off(transaction: Transaction, *, before: float) -> int:
    """Remove some of the entries from before ``before`` (s), never the last one; return how many went."""
    rows = await transaction.rows(
        "SELECT number, hash, at FROM audit WHERE number IS NOT NULL ORDER BY number LIMIT $1 FOR UPDATE",
        CUT_AT_ONCE + 1,
    )
    # Bound to the one after it, the last entry shows that there were others.
    old = list(takewhile(lambda row: row["at"] < before, rows[:-1]))
    if old:
        last = Cut(old[-1]["number"], old[-1]["hash"], round(before, 3))
        await transaction.rows("DELETE FROM audit WHERE number <= $1", last.through)
        await note(transaction, Action.AUDIT_CUT, **msgspec.structs.asdict(last))
    return len(old)


async def find_cut(database: Database) -> Cut:
    """Return what was cut off, as the log itself has it; nothing if it does not begin where it was cut."""
    first = await database.row("SELECT number FROM audit WHERE number IS NOT NULL ORDER BY number LIMIT 1")
    if first is None or first["number"] == 1:
        return NOTHING
    for row in await database.rows(
        "SELECT details FROM audit WHERE action = $1 ORDER BY key DESC", Action.AUDIT_CUT.value
    ):
        try:
            found = msgspec.json.decode(row["details"], type=Cut)
        except msgspec.MsgspecError:
            continue
        if found.through == first["number"] - 1:
            return found
    return NOTHING


def fault_of_cut(cut: Cut, head: Head | None, expected: tuple[int, str] | None) -> Fault | None:
    """Return what speaks against ``cut``: its own time, the ``head`` in the file, an entry that was kept elsewhere."""
    if cut.before > time.time() - LEAST_KEPT:
        return Fault(cut.through, "was removed, and not because of its age")
    if head is not None and head.number < cut.through and not was_of_age(head, cut):
        return Fault(head.number, "was removed, and is younger than what was removed because of its age")
    if expected is not None and expected[0] < cut.through:
        return Fault(
            expected[0],
            f"was removed with all up to {cut.through}: give a later one, or nothing tells whether that was right",
        )
    return None


def was_of_age(head: Head, cut: Cut) -> bool:
    """Tell whether the entry ``head`` was old enough for ``cut``."""
    return head.sealed_at - SEALED_LATE < cut.before <= time.time() - LEAST_KEPT
