"""Opening the database, and the one way to run a transaction.

A request whose client goes away is cancelled, and Tortoise's SQLite transaction, cancelled while it is
entered, keeps its lock for ever: one dropped connection would hang the server. So every transaction runs in
a task of its own, behind a shield; a lint rule forbids the bare form.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import structlog
from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.migrations.api import migrate

from projectw_server.db.opening import explained

T = TypeVar("T")
Row = dict[str, Any]

APP = "server"
BUSY_TIMEOUT_MS = 10_000

_log = structlog.get_logger(__name__)


class Statements:
    """Plain SQL on one connection, with ``$1``-style parameters on every database."""

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        self._connection = connection
        self._is_sqlite = connection.capabilities.dialect == "sqlite"

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Run ``sql`` and return its rows, also those of a RETURNING clause."""
        found = await self._connection.execute_query_dict(_dialect(sql, self._is_sqlite), list(values))
        return [dict(row) for row in found]

    async def row(self, sql: str, *values: Any) -> Row | None:
        """Run ``sql`` and return its first row, or None."""
        found = await self.rows(sql, *values)
        return found[0] if found else None

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values."""
        await self._connection.execute_many(_dialect(sql, self._is_sqlite), values)


class Transaction(Statements):
    """Statements that happen together or not at all."""

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        super().__init__(connection)
        self.after_commit: list[Callable[[], object]] = []
        """Called in order, at once after the commit and before any later transaction can begin."""

    async def next_change(self, count: int = 1) -> int:
        """Take ``count`` change numbers and return the last of them.

        Called before anything is read: as a write it takes SQLite's lock at the start, where waiting for
        another process is possible; upgrading a read transaction fails at once.
        """
        row = await self.row(
            "UPDATE counters SET value = value + $1 WHERE name = 'change' RETURNING value", count
        )
        assert row is not None, "the migration creates the counter"
        return int(row["value"])


class Database(Statements):
    """The open database of one server."""

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        super().__init__(connection)
        self._running: set[asyncio.Task[Any]] = set()

    async def transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction that a cancelled caller neither stops nor breaks.

        Commits when ``work`` returns, rolls back when it raises. What it put into ``after_commit`` is then
        called, also when the caller is gone by that time.
        """
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def _run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._connection._in_transaction() as connection:
            transaction = Transaction(connection)
            result = await work(transaction)
        for call in transaction.after_commit:
            call()
        return result

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever still waits gets it too; if nobody does, it must not vanish.
            _log.debug("transaction rolled back", error=type(error).__name__)

    async def settle(self) -> None:
        """Wait for the transactions under way."""
        while self._running:
            await asyncio.wait(self._running)

    async def checkpoint(self) -> None:
        """Empty SQLite's write-ahead log, in which deleted text would otherwise stay readable."""
        if self._is_sqlite:
            await self.rows("PRAGMA wal_checkpoint(TRUNCATE)")


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open the database at ``url``, bring its tables up to date, and close it at the end.

    Opened around the web server, not inside it: the server's start-up and its requests run in different tasks.
    Raises ConfigError when the URL is wrong, DatabaseUnusable when what it names cannot be opened.
    """
    config = {
        "connections": {"default": _with_pragmas(url)},
        "apps": {
            APP: {
                "models": ["projectw_server.db.models"],
                "migrations": "projectw_server.db.migrations",
                "default_connection": "default",
            }
        },
    }
    with explained(url):
        try:
            await migrate(config=config)
        finally:
            # Its connection has a thread of its own, which would keep a failed program alive.
            await Tortoise.close_connections()
    await Tortoise.init(config=config, _enable_global_fallback=True)
    database = Database(get_connection("default"))
    try:
        yield database
    finally:
        await database.settle()
        await Tortoise.close_connections()


def _with_pragmas(url: str) -> str:
    """Return ``url`` with our SQLite settings: WAL, every commit on disk, deleted content overwritten."""
    if not url.startswith("sqlite:"):
        return url
    mark = "&" if "?" in url else "?"
    return f"{url}{mark}journal_mode=WAL&synchronous=FULL&busy_timeout={BUSY_TIMEOUT_MS}&secure_delete=ON"


@cache
def _dialect(sql: str, is_sqlite: bool) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql) if is_sqlite else sql
