"""The mails whose time has come: rows that hold no secret and outlive a crash.

Whoever sends one puts its time off first, in the same statement that takes it, so that of several servers one does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from projectw_server.accounts.mail.purposes import CODE_SECONDS, is_worth_seconds
from projectw_server.accounts.outbox import Purpose
from projectw_server.db import Database, Transaction, marks

WAITS = (60.0, 300.0, 900.0, 3600.0, 10_800.0, 21_600.0)
"""Seconds from one try to send a mail to the next; the last stands for all that follow."""

_KNOWN = f"purpose IN ({', '.join(repr(purpose.value) for purpose in Purpose)})"
"""Of a newer server beside this one there may be others, which it sends itself."""


@dataclass(frozen=True)
class Mail:
    """A mail that is to be sent now. ``tries`` counts this one."""

    id: str
    purpose: Purpose
    email: str
    subject_id: str | None
    tries: int
    created_at: float

    def __repr__(self) -> str:
        return f"Mail({self.purpose.value} {self.id})"  # no address, for it may reach a log


class Due:
    """The mails that are to be sent, for those who send them."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def take(self) -> Mail | None:
        """Return a mail whose time has come, which is thereby put off."""
        now = self._now()

        async def work(transaction: Transaction) -> Mail | None:
            row = await transaction.row(
                f"SELECT * FROM mails WHERE due_at <= $1 AND {_KNOWN}"  # noqa: S608  constants
                " ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
                now,
            )
            if row is None:
                return None
            tries = row["tries"] + 1
            await transaction.rows(
                "UPDATE mails SET tries = $1, due_at = $2 WHERE id = $3",
                tries,
                now + WAITS[min(tries, len(WAITS)) - 1],
                row["id"],
            )
            return Mail(
                id=row["id"],
                purpose=Purpose(row["purpose"]),
                email=row["email"],
                subject_id=row["subject_id"],
                tries=tries,
                created_at=row["created_at"],
            )

        return await self._database.transaction(work)

    async def is_any(self) -> bool:
        """Tell whether the time of a mail has come."""
        found = await self._database.lookup(
            f"SELECT 1 AS found FROM mails WHERE due_at <= $1 AND {_KNOWN} LIMIT 1",  # noqa: S608  constants
            self._now(),
        )
        return found is not None

    async def put_off(self, mail: Mail, seconds: float) -> None:
        """Let ``mail`` not be tried for so long; that it was taken does not count as a try."""
        await self._database.rows(
            "UPDATE mails SET due_at = $1, tries = tries - 1 WHERE id = $2", self._now() + seconds, mail.id
        )

    async def remove(self, mail: Mail) -> None:
        """Forget ``mail``: it was sent, or is not to be."""
        await self._database.rows("DELETE FROM mails WHERE id = $1", mail.id)

    async def drop_notices(self) -> None:
        """Forget the mails that bring no code, where there is no way to send them."""
        codes = [purpose.value for purpose in CODE_SECONDS]
        await self._database.rows(f"DELETE FROM mails WHERE purpose NOT IN ({marks(len(codes))})", *codes)  # noqa: S608  marks alone

    async def forget_old(self) -> None:
        """Forget what nobody waits for any more."""
        now = self._now()
        for purpose in Purpose:
            await self._database.rows(
                "DELETE FROM mails WHERE purpose = $1 AND created_at <= $2",
                purpose.value,
                now - is_worth_seconds(purpose),
            )
