"""The people who may use the server."""

import re
import time
import unicodedata

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Grant, Person
from projectw_server.db import Database, Duplicate, Row, Transaction
from projectw_shared.errors import Conflict, Invalid, NotFound
from projectw_shared.ids import new_id
from projectw_shared.text import safe, shorten

MAX_EMAIL = 254
"""RFC 5321, 4.5.3.1.3 with RFC 3696's erratum 1690."""

# Without what RFC 5322 has between addresses and around them (3.2.3): one mailbox would have many spellings.
_WORD = r"[^@\s()<>\[\],;:\"\\]"
_LABEL = r"[^@\s()<>\[\],;:\"\\.]+"
_EMAIL = re.compile(rf"{_WORD}{{1,64}}@{_LABEL}(\.{_LABEL})*")
_COLUMNS = "id, email, unconfirmed_email, is_admin, disabled, created_at"

ONLY_ADMIN = "This is the only admin; make another one first"

COLUMNS_OF_CALLER = "u.id, u.email, u.unconfirmed_email, u.is_admin, u.created_at"
"""What is read of the users ``u`` to know a caller; see ``caller_of``."""


class Users:
    """Accounts, each known by its e-mail address."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def add(self, email: str, password: str, *, is_admin: bool = False) -> Person:
        """Make an account that needs no confirmation.

        Raises Invalid when address or password cannot be used, Conflict when the address is taken.
        """
        email = normalised(email)
        password_hash = await self._passwords.hash(password)
        person = Person(new_id(), email, is_admin, time.time())

        async def work(transaction: Transaction) -> None:
            await transaction.rows(
                "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
                " VALUES ($1, $2, $3, $4, FALSE, $5)",
                person.id,
                email,
                password_hash,
                is_admin,
                person.created_at,
            )
            await note(transaction, Action.USER_CREATED, person.id, is_admin=is_admin)

        try:
            await self._database.transaction(work)
        except Duplicate as error:
            raise Conflict(f"There is an account with the address {email} already") from error
        return person

    async def get(self, user_id: str) -> Person | None:
        """Return the account with that id."""
        return _person(await self._database.row(f"SELECT {_COLUMNS} FROM users WHERE id = $1", user_id))  # noqa: S608  a constant

    async def find(self, email: str) -> Person | None:
        """Return the account with that address, however it is spelt."""
        row = await self._database.row(f"SELECT {_COLUMNS} FROM users WHERE email = $1", normalised(email))  # noqa: S608  a constant
        return _person(row)

    async def list(self) -> list[Person]:
        """Return every account, the oldest first."""
        rows = await self._database.rows(f"SELECT {_COLUMNS} FROM users ORDER BY id")  # noqa: S608  a constant
        return [person for row in rows if (person := _person(row))]


def normalised(email: str) -> str:
    """Return ``email`` as it is stored: without spaces around it, in lower case; Invalid when it is none."""
    address = unicodedata.normalize("NFC", email).strip().lower()
    if not _EMAIL.fullmatch(address) or len(address) > MAX_EMAIL or safe(address) != address:
        shown = shorten(safe(email), 60)
        raise Invalid(f"{shown!r} is no e-mail address; one looks like name@example.org")
    return address


async def lock_user(transaction: Transaction, user_id: str) -> tuple[Row, bool]:
    """Return an account, locked to the end of the transaction, and whether it is the only admin.

    The rows of all admins are locked with it, so that two of them cannot at once take the right from each other. One
    that has not confirmed its address is none that the others could rely on. Raises NotFound.
    """
    admins = await transaction.rows(
        "SELECT id FROM users WHERE is_admin AND NOT disabled AND email <> id ORDER BY id FOR UPDATE"
    )
    row = await transaction.row("SELECT * FROM users WHERE id = $1 AND erased_at IS NULL FOR UPDATE", user_id)
    if row is None:
        raise NotFound("There is no such user")
    return row, [each["id"] for each in admins] == [user_id]


def caller_of(
    row: Row,
    *,
    session_id: str | None = None,
    token_id: str | None = None,
    grant: Grant = Grant.SIGN_IN,
) -> Person:
    """Return whom a row with ``COLUMNS_OF_CALLER`` tells of."""
    confirmed = row["email"] != row["id"]
    return Person(
        id=row["id"],
        email=row["email"] if confirmed else row["unconfirmed_email"] or "",
        is_admin=bool(row["is_admin"]),
        created_at=row["created_at"],
        session_id=session_id,
        disabled=bool(row.get("disabled")),
        confirmed=confirmed,
        unconfirmed_email=row["unconfirmed_email"],
        token_id=token_id,
        grant=grant,
    )


def _person(row: Row | None) -> Person | None:
    return None if row is None else caller_of(row)
