"""The tokens of runners: made by an admin, shown once, kept as hashes."""

import time
from dataclasses import dataclass

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.principals import RunnerIdentity
from projectw_server.accounts.secret_tokens import digest, new_token
from projectw_server.db import Database, Transaction
from projectw_shared.errors import Invalid
from projectw_shared.ids import new_id
from projectw_shared.messages import CreatedRunner

PREFIX = "pwr_"
MAX_NAME = 200


@dataclass(frozen=True)
class KnownRunner:
    """What the database knows of a runner; whether it is online, only the running server knows."""

    id: str
    name: str
    version: str | None
    created_at: float
    last_seen_at: float | None


class RunnerTokens:
    """Makes tokens and recognises them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str) -> CreatedRunner:
        """Make a runner's account and its token, of which only the hash is kept."""
        name = name.strip()
        if not 1 <= len(name) <= MAX_NAME:
            raise Invalid(f"A runner's name has 1 to {MAX_NAME} characters")
        token = new_token(PREFIX)
        runner_id = new_id()

        async def work(transaction: Transaction) -> None:
            await transaction.rows(
                "INSERT INTO runners (id, name, token_hash, models, cordoned, failures_in_row, draining, created_at)"
                " VALUES ($1, $2, $3, '[]', FALSE, 0, FALSE, $4)",
                runner_id,
                name,
                digest(token),
                time.time(),
            )
            await note(transaction, Action.RUNNER_CREATED, runner_id)

        await self._database.transaction(work)
        return CreatedRunner(runner_id, name, token)

    async def identify(self, token: str) -> RunnerIdentity | None:
        """Return the runner that ``token`` belongs to."""
        row = await self._database.lookup(
            "SELECT id, name, failures_in_row FROM runners WHERE token_hash = $1", digest(token)
        )
        return RunnerIdentity(**row) if row else None

    async def list(self) -> list[KnownRunner]:
        """Return every runner's account, the oldest first."""
        rows = await self._database.rows(
            "SELECT id, name, version, created_at, last_seen_at FROM runners ORDER BY id"
        )
        return [KnownRunner(**row) for row in rows]
