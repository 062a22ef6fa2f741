"""The chain of the audit log: a moment after it was written each entry is sealed.

It gets a number without gaps, and a hash over itself and the hash before it (SHA-256). So a row that is changed,
missing or put in between breaks the chain from there on. Sealing is apart from writing because a chain has one end,
and every request that is audited would otherwise wait for every other.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from projectw_server.accounts.audit import check_action
from projectw_server.accounts.cutting import (
    DAY,
    NOTHING,
    Cut,
    Fault,
    Head,
    cut_off,
    fault_of_cut,
    find_cut,
    was_of_age,
)
from projectw_server.clock import moment
from projectw_server.db import Conditions, Database, Row, Transaction
from projectw_shared.accounts import AuditEntry, AuditList
from projectw_shared.errors import Invalid

BEGINNING = NOTHING.hash
"""What the first entry is bound to."""

CUT_EVERY = 3600.0

SEALED_AT_ONCE = 500
SEALED_EVERY = 1.0
READ_AT_ONCE = 1000
HEAD_FILE = "audit.head"

ANEW = "is another than it was: the log was written anew"

_log = structlog.get_logger(__name__)


class Verdict(NamedTuple):
    """The number and the hash of the last entry that is in order, how many wait to be sealed, and what is wrong.

    ``cut`` tells what was removed at the beginning because of its age.
    """

    number: int
    hash: str
    waiting: int
    fault: Fault | None
    cut: Cut = NOTHING


class Audit:
    """The log as a whole: seals it, shows it, and tells whether it is whole.

    The last number and hash that were sealed are also kept in ``head``, a file: what is cut off at the end of the
    table leaves no gap there. ``keep_days`` is how long entries are kept; None, forever.
    """

    def __init__(self, database: Database, head: Path, *, keep_days: float | None = None) -> None:
        self._database = database
        self._head = head
        self._keep_days = keep_days

    async def seal(self) -> None:
        """Number and hash the entries that have been written since.

        The head that is kept stays as it is while the table does not hold that entry: else what was taken off the
        end, or sealed anew, would be in order as soon as the next entry is sealed.
        """
        while (sealed := await self._database.transaction(_seal)) is not None:
            count, number, hash = sealed
            if await self._holds(_read_head(self._head)):
                _write_head(self._head, number, hash)
            else:
                _log.error("the audit log is not whole: run 'projectw-server audit verify'")
            if count < SEALED_AT_ONCE:
                return

    async def _holds(self, head: Head | None) -> bool:
        if head is None:
            return True
        row = await self._database.row("SELECT hash FROM audit WHERE number = $1", head.number)
        if row is None:
            # The file may be that of a server that has not sealed for long.
            cut = await find_cut(self._database)
            return head.number <= cut.through and was_of_age(head, cut)
        return bool(row["hash"] == head.hash)

    async def cut(self) -> int:
        """Remove the entries that are older than they are kept, all but the last, and note it; return how many went."""
        if self._keep_days is None:
            return 0
        before, removed = time.time() - self._keep_days * DAY, 0
        while count := await self._database.transaction(partial(cut_off, before=before)):
            removed += count
        return removed

    async def entries(self) -> AsyncIterator[Row]:
        """Yield every sealed entry in its order, then those that wait for it."""
        after = 0
        while rows := await self._database.rows(
            "SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2", after, READ_AT_ONCE
        ):
            for row in rows:
                yield row
            after = rows[-1]["number"]
        for row in await self._database.rows("SELECT * FROM audit WHERE number IS NULL ORDER BY key"):
            yield row

    async def verify(self, expected: tuple[int, str] | None = None) -> Verdict:
        """Go through the chain from its beginning to the first fault: every later one would follow from it.

        ``expected`` is the number and the hash of an entry that is known to be there. The log's own word on what was
        cut off is that of whoever writes to the database, so it does not go against what was kept elsewhere.
        """
        head = _read_head(self._head)
        known = {} if head is None else {head.number: head.hash}
        if expected is not None:
            known[expected[0]] = expected[1]
        while True:
            cut = await find_cut(self._database)
            fault = fault_of_cut(cut, head, expected)
            verdict = (
                Verdict(cut.through, cut.hash, 0, fault, cut) if fault else await self._follow(cut, known)
            )
            # A server may have cut off what was being read.
            if verdict.fault is None or await find_cut(self._database) == cut:
                return verdict

    async def _follow(self, cut: Cut, known: dict[int, str]) -> Verdict:
        number, hash, waiting = cut.through, cut.hash, 0
        if known.get(number, hash) != hash:
            return Verdict(number, hash, waiting, Fault(number, ANEW), cut)
        async for row in self.entries():
            if row["number"] is None:
                waiting += 1
                continue
            if (what := _fault(row, number + 1, before := hash, known)) is not None:
                return Verdict(number, before, waiting, Fault(number + 1, what), cut)
            number, hash = row["number"], row["hash"]
        if (most := max(known, default=0)) > number:
            return Verdict(number, hash, waiting, Fault(number + 1, f"is missing; there were {most}"), cut)
        return Verdict(number, hash, waiting, None, cut)

    async def page(
        self, *, action: str | None, actor_id: str | None, limit: int, cursor: str | None
    ) -> AuditList:
        """Return entries, the newest first. Raises Invalid for what is no action or no cursor."""
        wanted = Conditions()
        if action is not None:
            check_action(action)
            wanted.add("action = {}", action)
        if actor_id is not None:
            wanted.add("actor_id = {}", actor_id)
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                raise Invalid("This cursor is not one of ours; begin again without it")
            wanted.add("key < {}", int(cursor))
        rows = await self._database.rows(
            f"SELECT * FROM audit WHERE {wanted} ORDER BY key DESC LIMIT {limit + 1}",  # noqa: S608  conditions and a number of ours
            *wanted.values,
        )
        page = rows[:limit]
        return AuditList([to_entry(row) for row in page], str(page[-1]["key"]) if len(rows) > limit else None)


def to_entry(row: Row) -> AuditEntry:
    """Return the entry of ``row``."""
    at = moment(row["at"])
    assert at is not None, "an entry has its time"
    return AuditEntry(
        number=row["number"],
        at=at,
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        address=row["address"],
        action=row["action"],
        object_id=row["object_id"],
        details=_details(row["details"]),
        hash=row["hash"],
    )


def _details(stored: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.DecodeError:
        # Somebody else has written there, and must not thereby hide the other entries.
        return {"unreadable": stored}


def hash_of(row: Row, before: str) -> str:
    """Return the hash of ``row``, which has its number, after an entry with the hash ``before``."""
    names = ("number", "at", "actor_kind", "actor_id", "address", "action", "object_id", "details")
    content = msgspec.json.encode([before, *(row[name] for name in names)])
    return hashlib.sha256(content).hexdigest()


def _fault(row: Row, number: int, before: str, known: dict[int, str]) -> str | None:
    if row["number"] != number:
        return "is missing"
    if row["hash"] != hash_of(row, before):
        return "was changed, or comes after one that was"
    if known.get(number, row["hash"]) != row["hash"]:
        return ANEW
    return None


async def _seal(transaction: Transaction) -> tuple[int, int, str] | None:
    rows = await transaction.rows(
        f"SELECT * FROM audit WHERE number IS NULL ORDER BY key LIMIT {SEALED_AT_ONCE} FOR UPDATE"  # noqa: S608  a number of ours
    )
    if not rows:
        return None
    last = await transaction.row(
        "SELECT number, hash FROM audit WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1"
    )
    number, hash = (last["number"], last["hash"]) if last else (0, BEGINNING)
    sealed: list[list[Any]] = []
    for row in rows:
        number += 1
        hash = hash_of({**row, "number": number}, hash)
        sealed.append([number, hash, row["key"]])
    # Two servers at once would give the same number twice, which the table refuses.
    await transaction.many("UPDATE audit SET number = $1, hash = $2 WHERE key = $3", sealed)
    return len(sealed), number, hash


def _write_head(file: Path, number: int, hash: str) -> None:
    draft = file.with_name(f".{file.name}.part")
    draft.write_text(f"{number} {hash} {time.time():.0f}\n", "ascii")
    draft.replace(file)


def _read_head(file: Path) -> Head | None:
    try:
        number, hash, *sealed_at = file.read_text("ascii").split()
        return Head(int(number), hash, float(sealed_at[0]) if sealed_at else 0.0)
    except (FileNotFoundError, ValueError):
        return None
