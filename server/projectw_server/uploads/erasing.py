"""Erasing an account with everything that it owns: rows, recordings, and what runners hold of it.

It can be much, and the server may end meanwhile. So the account is closed first, in one transaction: nobody can sign
in, and its address is gone. What it owns then goes piece by piece, and a server that starts goes on where one ended.
"""

import asyncio
import time

import structlog

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.users import ONLY_ADMIN, lock_user
from projectw_server.db import Database, Transaction
from projectw_server.jobs.service import Jobs
from projectw_server.uploads.receiving import Receiving
from projectw_shared.errors import Conflict

AT_ONCE = 50
"""Jobs that are deleted in one transaction."""

CONTINUED_EVERY = 30.0

_log = structlog.get_logger(__name__)


class Erasing:
    """Erases accounts."""

    def __init__(self, database: Database, jobs: Jobs, receiving: Receiving) -> None:
        self._database = database
        self._jobs = jobs
        self._receiving = receiving
        self._running: dict[str, asyncio.Task[None]] = {}

    async def erase(self, user_id: str) -> None:
        """Erase an account; when this returns nothing of it is left. It goes on without a caller who leaves.

        Raises NotFound, and Conflict for the only admin.
        """

        async def work(transaction: Transaction) -> None:
            await _close(transaction, user_id)
            # By the commit and not by the caller, who may have left by then.
            transaction.after_commit.append(lambda: self._going_on(user_id))

        await self._database.transaction(work)
        await asyncio.shield(self._going_on(user_id))

    async def go_on(self) -> None:
        """Erase what a server has left half erased."""
        for row in await self._database.rows("SELECT id FROM users WHERE erased_at IS NOT NULL"):
            await self._going_on(row["id"])

    def _going_on(self, user_id: str) -> asyncio.Task[None]:
        task = self._running.get(user_id)
        if task is None:
            task = self._running[user_id] = asyncio.create_task(self._empty(user_id))
            task.add_done_callback(lambda _: self._running.pop(user_id, None))
        return task

    async def _empty(self, user_id: str) -> None:
        jobs = 0
        # Those whose rows a server has deleted that ended before it came to their recordings.
        for row in await self._database.rows("SELECT job_id FROM deletions WHERE owner_id = $1", user_id):
            await self._receiving.discard(row["job_id"])
        while ids := await self._jobs.delete_some(user_id, AT_ONCE):
            jobs += len(ids)
            for job_id in ids:
                await self._receiving.discard(job_id)
        await self._database.transaction(lambda transaction: _remove(transaction, user_id, jobs))
        # What was deleted can be read in the write-ahead log until that is emptied.
        await self._database.checkpoint()
        _log.info("account erased", user=user_id, jobs=jobs)


async def _close(transaction: Transaction, user_id: str) -> None:
    row, is_only_admin = await lock_user(transaction, user_id)
    if is_only_admin:
        raise Conflict(ONLY_ADMIN)
    await transaction.rows(
        "UPDATE users SET erased_at = $1, disabled = TRUE, email = id, unconfirmed_email = NULL,"
        " password_hash = '', quota = NULL, job_defaults = NULL WHERE id = $2",
        time.time(),
        user_id,
    )
    for table in ("sessions", "api_tokens", "mail_tokens"):
        await transaction.rows(f"DELETE FROM {table} WHERE user_id = $1", user_id)  # noqa: S608  names of ours
    await transaction.rows(
        "DELETE FROM mails WHERE subject_id = $1 OR email IN ($2, $3)",
        user_id,
        row["email"],
        row["unconfirmed_email"] or row["email"],
    )
    if row["email"] != user_id:
        # Whoever signed up with it meanwhile got no code that confirms it, and would keep the address here for a day.
        await transaction.rows(
            "DELETE FROM users WHERE email = id AND erased_at IS NULL AND unconfirmed_email = $1",
            row["email"],
        )
    await note(transaction, Action.USER_DELETED, user_id)


async def _remove(transaction: Transaction, user_id: str, jobs: int) -> None:
    await transaction.rows("DELETE FROM deletions WHERE owner_id = $1", user_id)
    if await transaction.rows("DELETE FROM users WHERE id = $1 RETURNING id", user_id):
        await note(transaction, Action.USER_ERASED, user_id, jobs=jobs)
