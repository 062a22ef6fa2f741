"""What becomes of a mail that is due: which letter, with which code, or none.

Decided here and not where it was asked for, so that nobody can tell from an answer, or from the time that it
took, whether an address is known.
"""

import time
from collections.abc import Callable

from projectw_server.accounts.issuing import changing, is_taken, issue, pending, resettable
from projectw_server.accounts.mail.budgets import Budget
from projectw_server.accounts.mail.due import Mail
from projectw_server.accounts.mail.letters import Letter
from projectw_server.accounts.mail.purposes import CODE_SECONDS, DAY, HOUR
from projectw_server.accounts.outbox import Purpose
from projectw_server.accounts.throttle import key_of
from projectw_server.clock import moment
from projectw_server.db import Database, Transaction

CODES_AN_HOUR = 5
"""For one purpose to one address. The last code outlives the hour in which no further one comes, so whoever asks for
mails to somebody else's address neither floods it nor keeps its owner out."""

REMINDERS_A_DAY = 1
"""That there is an account already, to one address."""

REMINDER = "taken"

HOURS = {purpose: round(seconds / HOUR) for purpose, seconds in CODE_SECONDS.items()}


class Later(Exception):
    """The address has had its letters for now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"in {seconds:.0f} s")
        self.seconds = seconds


class Drafting:
    """Decides about mails; what it allows an address is counted here, by each of several servers for itself."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._codes = Budget(CODES_AN_HOUR, HOUR)
        self._reminders = Budget(REMINDERS_A_DAY, DAY)

    async def draft(self, mail: Mail) -> Letter | None:
        """Return the letter for ``mail``, None when there is to be none. Raises Later."""
        if mail.purpose not in CODE_SECONDS:
            return await self._notice(mail)
        if mail.purpose is not Purpose.RESET and await is_taken(self._database, mail.email):
            return None if self._reminders.spend(key_of(mail.email)) else Letter(REMINDER, mail.email)
        if wait := self._codes.spend(_key(mail)):
            raise Later(wait)
        letter = await self._database.transaction(lambda transaction: self._with_code(transaction, mail))
        if letter is None:
            self._codes.give_back(_key(mail))
        return letter

    def undo(self, mail: Mail, letter: Letter) -> None:
        """Let ``letter`` not count: it was not taken."""
        if letter.name == REMINDER:
            self._reminders.give_back(key_of(mail.email))
        elif mail.purpose in CODE_SECONDS:
            self._codes.give_back(_key(mail))

    async def _with_code(self, transaction: Transaction, mail: Mail) -> Letter | None:
        match mail.purpose:
            case Purpose.CONFIRM:
                subject = await pending(transaction, mail.email, mail.subject_id or "")
            case Purpose.NEW_ADDRESS:
                subject = await changing(transaction, mail.email, mail.subject_id or "")
            case _:
                subject = await resettable(transaction, mail.email)
        if subject is None:
            return None
        code = await issue(transaction, mail.purpose, subject.user_id, mail.email, self._now())
        values = {
            "asked_at": _shown(subject.created_at if mail.purpose is Purpose.CONFIRM else mail.created_at),
            "hours": HOURS[mail.purpose],
            "unconfirmed": not subject.confirmed,
        }
        return Letter(mail.purpose.value, mail.email, values, code)

    async def _notice(self, mail: Mail) -> Letter | None:
        values: dict[str, object] = {"asked_at": _shown(mail.created_at)}
        if mail.purpose is Purpose.DISCLOSED:
            row = await self._database.row(
                "SELECT d.reason, d.at, j.file_name, u.email AS admin FROM disclosures d"
                " LEFT JOIN jobs j ON j.id = d.job_id LEFT JOIN users u ON u.id = d.admin_id WHERE d.id = $1",
                mail.subject_id,
            )
            if row is None:
                return None
            values = {
                "asked_at": _shown(row["at"]),
                "reason": row["reason"],
                "file_name": row["file_name"] or "(deleted since)",
                "admin": row["admin"] or "(an account that was deleted since)",
            }
        return Letter(mail.purpose.value, mail.email, values)


def _key(mail: Mail) -> str:
    return f"{mail.purpose.value} {key_of(mail.email)}"


def _shown(seconds: float) -> str:
    at = moment(seconds)
    assert at is not None, "a time was given"
    return f"{at:%Y-%m-%d %H:%M}"
