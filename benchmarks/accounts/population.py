"""Accounts by the hundred, put straight into the database before its server starts."""

import time
from collections.abc import Sequence
from pathlib import Path

from projectw_server.accounts.codes import digest
from projectw_server.accounts.passwords import Passwords
from projectw_server.db import open_database
from projectw_shared.ids import new_id


async def settle(data: Path, emails: Sequence[str], password: str, *, old_codes: Sequence[str] = ()) -> None:
    """Make an account for each of ``emails``, all with ``password``; the first has had ``old_codes``, which ran out."""
    passwords = Passwords(workers=1)
    hashed = await passwords.hash(password)
    passwords.close()
    now = time.time()
    people = [[new_id(), email, hashed, now] for email in emails]
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with open_database(f"sqlite://{data / 'projectw.sqlite3'}") as database:
        await database.many(
            "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
            " VALUES ($1, $2, $3, FALSE, FALSE, $4)",
            people,
        )
        await database.many(
            "INSERT INTO mail_tokens (token_hash, user_id, purpose, email, expires_at)"
            " VALUES ($1, $2, 'confirm', $3, $4)",
            [[digest(code), people[0][0], emails[0], now - 1] for code in old_codes],
        )
