"""The audit log: what was done, by whom and to what.

An entry is written in the transaction of what it tells of, so there is none without the other; ``chain`` binds each to
the one before a moment later. It holds ids and never a name, an address of e-mail or a text: an account can be erased,
and its entries stay.
"""

import time
from collections import OrderedDict
from enum import StrEnum
from typing import Any

import msgspec

from projectw_server.accounts.acting import Actor, actor
from projectw_server.db import Database, Statements
from projectw_shared.errors import Invalid

READS_REMEMBERED = 10_000
READ_AGAIN_SECONDS = 600.0
"""How long somebody who reads on in the same transcript is not noted again."""


class Action(StrEnum):
    """What is noted."""

    LOGGED_IN = "login"
    LOGIN_FAILED = "login-failed"
    LOGGED_OUT = "logout"
    SESSION_REVOKED = "session-revoked"
    SESSIONS_ENDED = "sessions-ended"
    TOKEN_STOLEN = "refresh-token-reused"  # noqa: S105  the name of an event
    SIGNED_UP = "signup"
    CONFIRMED = "address-confirmed"
    EMAIL_ASKED = "address-change-asked"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  the name of an event
    PASSWORD_FAILED = "password-failed"  # noqa: S105  the name of an event
    PASSWORD_RESET = "password-reset"  # noqa: S105  the name of an event
    TOKEN_CREATED = "token-created"  # noqa: S105  the name of an event
    TOKEN_REVOKED = "token-revoked"  # noqa: S105  the name of an event
    USER_CREATED = "user-created"
    USER_CHANGED = "user-changed"
    USER_DELETED = "user-deleted"
    USER_ERASED = "user-erased"
    RUNNER_CREATED = "runner-created"
    RUNNER_REVOKED = "runner-revoked"
    RUNNER_CORDONED = "runner-cordoned"
    RUNNER_UNCORDONED = "runner-uncordoned"
    RUNNER_DRAINED = "runner-drained"
    JOB_SUBMITTED = "job-submitted"
    JOB_DELETED = "job-deleted"
    TRANSCRIPT_READ = "transcript-read"
    TRANSCRIPT_EXPORTED = "transcript-exported"
    RECORDING_READ = "recording-read"
    DISCLOSED = "transcript-disclosed"
    KEYS_ROTATED = "keys-rotated"
    CODE_SHOWN = "code-shown"
    AUDIT_CUT = "audit-cut"


def check_action(name: str) -> None:
    """Raise Invalid for what is no action, with those that it may have been meant to be."""
    if name not in [each.value for each in Action]:
        like = [each.value for each in Action if name in each.value] or [each.value for each in Action]
        raise Invalid(f"There is no action {name!r}; there are {', '.join(like)}")


async def note(
    statements: Statements,
    action: Action,
    object_id: str | None = None,
    /,
    *,
    by: Actor | None = None,
    **details: Any,
) -> None:
    """Write an entry, in the transaction ``statements`` if it is one; who acts is who calls, unless ``by`` is given.

    ``details`` are few and short, and never what a person has written.
    """
    who = by or actor()
    await statements.rows(
        "INSERT INTO audit (at, actor_kind, actor_id, address, action, object_id, details)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        round(time.time(), 3),
        who.kind,
        who.id,
        who.address,
        action.value,
        object_id,
        msgspec.json.encode(details).decode(),
    )


class Reading:
    """Notes who reads and exports what, once for somebody who reads on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: OrderedDict[tuple[str | None, str | None, Action, str], float] = OrderedDict()

    async def note(self, action: Action, job_id: str, **details: Any) -> None:
        """Write that the one who acts reads of the job ``job_id``."""
        who, now = actor(), time.monotonic()
        key = (who.id, who.address, action, f"{job_id}{details.get('format', '')}")
        if now - self._seen.get(key, float("-inf")) < READ_AGAIN_SECONDS:
            return
        # First, or requests side by side would each be noted; and taken back if it could not be written.
        self._seen[key] = now
        while len(self._seen) > READS_REMEMBERED:
            self._seen.popitem(last=False)
        try:
            await note(self._database, action, job_id, **details)
        except BaseException:  # raised again: what was not noted is not remembered as if it were
            self._seen.pop(key, None)
            raise
