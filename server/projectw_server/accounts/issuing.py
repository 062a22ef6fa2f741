"""Who gets a code for what, and the code itself: decided and made when it is sent or shown, never before."""

import time
from typing import NamedTuple

from projectw_server.accounts.acting import OPERATOR
from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.codes import digest, new_code
from projectw_server.accounts.mail.purposes import CODE_SECONDS
from projectw_server.accounts.outbox import Purpose
from projectw_server.accounts.users import normalised
from projectw_server.db import Database, Row, Statements, Transaction
from projectw_shared.errors import NotFound

PENDING = "u.email = u.id AND u.unconfirmed_email = $1 AND u.erased_at IS NULL"
"""What holds for the accounts ``u`` that have signed up with the address ``$1`` and not confirmed it."""


class Subject(NamedTuple):
    """The account that a code is for. ``confirmed`` tells whether it has shown before that the address is its own."""

    user_id: str
    confirmed: bool
    created_at: float


async def is_taken(statements: Statements, email: str) -> bool:
    """Tell whether an account has shown that it owns the address."""
    return await statements.row("SELECT 1 AS found FROM users WHERE email = $1", email) is not None


async def newest_pending(statements: Statements, email: str) -> Subject | None:
    """Return the account that signed up with the address last and has not confirmed it."""
    row = await statements.row(
        f"SELECT u.id, u.created_at FROM users u WHERE {PENDING} ORDER BY u.id DESC LIMIT 1",  # noqa: S608  a constant
        email,
    )
    return _subject(row, confirmed=False)


async def pending(statements: Statements, email: str, user_id: str) -> Subject | None:
    """Return that account if it waits to confirm the address as its first."""
    row = await statements.row(
        f"SELECT u.id, u.created_at FROM users u WHERE {PENDING} AND u.id = $2",  # noqa: S608  a constant
        email,
        user_id,
    )
    return _subject(row, confirmed=False)


async def changing(statements: Statements, email: str, user_id: str) -> Subject | None:
    """Return that account if it waits to confirm the address as its next."""
    row = await statements.row(
        "SELECT id, created_at FROM users"
        " WHERE id = $2 AND unconfirmed_email = $1 AND email <> id AND erased_at IS NULL",
        email,
        user_id,
    )
    return _subject(row, confirmed=True)


async def resettable(statements: Statements, email: str) -> Subject | None:
    """Return the account whose password whoever reads the address's mail may set."""
    row = await statements.row(
        "SELECT id, created_at FROM users WHERE email = $1 AND erased_at IS NULL", email
    )
    return _subject(row, confirmed=True) or await newest_pending(statements, email)


async def issue(transaction: Transaction, purpose: Purpose, user_id: str, email: str, now: float) -> str:
    """Return a new code, in place of any older one of that user for that purpose."""
    code = new_code()
    await transaction.rows(
        "DELETE FROM mail_tokens WHERE user_id = $1 AND purpose = $2", user_id, purpose.value
    )
    await transaction.rows(
        "INSERT INTO mail_tokens (token_hash, user_id, purpose, email, expires_at) VALUES ($1, $2, $3, $4, $5)",
        digest(code),
        user_id,
        purpose.value,
        email,
        now + CODE_SECONDS[purpose],
    )
    return code


async def show_code(database: Database, email: str, purpose: Purpose) -> str:
    """Return a new code for ``email``, for the operator to hand on.

    ``purpose`` is ``RESET``, or ``CONFIRM`` for an account's first or next address. Raises NotFound when there is
    nothing to confirm or to reset.
    """
    email = normalised(email)

    async def work(transaction: Transaction) -> str | None:
        kind = purpose
        if purpose is Purpose.RESET:
            subject = await resettable(transaction, email)
        elif (subject := await newest_pending(transaction, email)) is None:
            kind, subject = Purpose.NEW_ADDRESS, await _changing_to(transaction, email)
        if subject is None:
            return None
        await note(transaction, Action.CODE_SHOWN, subject.user_id, by=OPERATOR, purpose=kind.value)
        return await issue(transaction, kind, subject.user_id, email, time.time())

    code = await database.transaction(work)
    if code is None:
        missing = "no account" if purpose is Purpose.RESET else "no account that waits for its confirmation"
        raise NotFound(f"The address {email} has {missing}")
    return code


async def _changing_to(statements: Statements, email: str) -> Subject | None:
    row = await statements.row(
        "SELECT id, created_at FROM users WHERE unconfirmed_email = $1 AND email <> id AND erased_at IS NULL"
        " ORDER BY id DESC LIMIT 1",
        email,
    )
    return _subject(row, confirmed=True)


def _subject(row: Row | None, *, confirmed: bool) -> Subject | None:
    return None if row is None else Subject(row["id"], confirmed, row["created_at"])
