"""SQLite: one connection, one transaction at a time."""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import cache, partial
from typing import Any

from tortoise.backends.sqlite.client import SqliteClient

from projectw_server.db.backends import Duplicate, Link, Row, T
from projectw_server.db.lookups import Lookups

BUSY_TIMEOUT_MS = 10_000

PRAGMAS = f"journal_mode=WAL&synchronous=FULL&busy_timeout={BUSY_TIMEOUT_MS}&secure_delete=ON"
"""Every commit on disk, deleted content overwritten."""

MEMORY = ":memory:"


class SqliteBackend:
    """The connection that Tortoise has opened. Tortoise's own transactions are not used.

    They begin without the write lock, and a lock that is upgraded later fails at once; and one that is cancelled
    or fails while it begins keeps the connection for ever.
    """

    connect: Callable[[], Awaitable[Any]] | None = None

    def __init__(self, client: SqliteClient) -> None:
        self._client = client
        self._lookups = None if client.filename == MEMORY else Lookups(client.filename)

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        """Run ``sql`` and return its rows."""
        async with self._client.acquire_connection() as connection:
            found: list[Row] = await connection._execute(_Connection(connection._conn).read, sql, values)
            return found

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values, all or none."""

        async def work(link: Link) -> None:
            await link.many(sql, values)

        await self.transact(work)

    async def transact(self, work: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        """Run all of ``work`` on the database's thread, the write lock held from its beginning to its end.

        One trip there and back, where one for each statement would let every other request of a busy server go
        first each time, with the lock held.
        """
        context = copy_context()
        async with self._client.acquire_connection() as connection:
            whole = partial(context.run, _transact, connection._conn, work)
            result: T = await connection._execute(whole)
            return result

    async def lookup(self, sql: str, values: list[Any]) -> Row | None:
        """Run ``sql`` on the spot, beside the connection."""
        if self._lookups is not None:
            # Busy only while the log is recovered or the file is locked from outside: then like any other statement.
            with suppress(sqlite3.OperationalError):
                return self._lookups.row(dialect(sql), values)
        found = await self.rows(sql, values)
        return found[0] if found else None

    async def checkpoint(self) -> None:
        """Empty the write-ahead log."""
        await self.rows("PRAGMA wal_checkpoint(TRUNCATE)", [])

    def close(self) -> None:
        """Close the connection for lookups; before the other, so that the last to close empties the log."""
        if self._lookups is not None:
            self._lookups.close()


class _Connection:
    """Statements on the thread that the connection belongs to; to await them takes no time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, sql: str, values: list[Any]) -> list[Row]:
        with _explained():
            return [dict(row) for row in self._connection.execute(dialect(sql), values).fetchall()]

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        return self.read(sql, values)

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        with _explained():
            self._connection.executemany(dialect(sql), values)


def _transact(connection: sqlite3.Connection, work: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = _run(work(_Connection(connection)))
        connection.execute("COMMIT")
    except BaseException:  # raised again: whatever ended it, nothing of it is kept
        # Of some errors, such as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("a transaction awaits nothing but its own statements")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            raise Duplicate(str(error)) from error
        raise


@cache
def dialect(sql: str) -> str:
    """Return ``sql`` as SQLite takes it: other marks for parameters, no locks on rows, for it locks the whole."""
    without_locks = re.sub(r"\s+FOR (UPDATE|SHARE)( SKIP LOCKED)?\b", "", sql)
    return re.sub(r"\$(\d+)", r"?\1", without_locks)
