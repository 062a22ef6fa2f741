"""What is to be told by mail, written with what it tells of; what a mail says is made only when it is sent.

So no code and no text of a mail ever stands in the database, and none is lost with the server that was to send it.
"""

import time
from enum import StrEnum

from projectw_server.db import Statements
from projectw_shared.ids import new_id


class Purpose(StrEnum):
    """What a mail is for. The first three bring a code."""

    CONFIRM = "confirm"
    """Confirms the address of a new account."""
    NEW_ADDRESS = "new-address"
    """Confirms the next address of an account."""
    RESET = "reset"
    """Lets a forgotten password be replaced."""
    CHANGED_ADDRESS = "changed"
    """Tells the former address that there is another now."""
    CHANGED_PASSWORD = "password"  # noqa: S105  the name of an event
    """Tells that the password was changed."""
    DISCLOSED = "disclosed"
    """Tells that an admin has read a transcript."""


async def post(statements: Statements, purpose: Purpose, email: str, subject_id: str | None = None) -> None:
    """Put a mail to ``email`` out to be sent; ``subject_id`` is the user or the disclosure that it is about."""
    now = time.time()
    await statements.rows(
        "INSERT INTO mails (id, purpose, email, subject_id, tries, due_at, created_at)"
        " VALUES ($1, $2, $3, $4, 0, $5, $5)",
        new_id(),
        purpose.value,
        email,
        subject_id,
        now,
    )
