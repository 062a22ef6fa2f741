"""SQLite: one connection, one transaction at a time."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import Any

import aiosqlite
from tortoise.backends.sqlite.client import SqliteClient

from projectw_server.db.backends import Duplicate, Link, Row
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

    is_shared = False

    def __init__(self, client: SqliteClient) -> None:
        self._client = client
        self._lookups = None if client.filename == MEMORY else Lookups(client.filename)

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        """Run ``sql`` and return its rows."""
        async with self._client.acquire_connection() as connection:
            return await _Connection(connection).rows(sql, values)

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values, all or none."""
        async with self.transaction() as link:
            await link.many(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Link]:
        """Hold the connection, and the database's write lock, until the end of the block."""
        async with self._client.acquire_connection() as connection:
            with _explained():
                await connection.execute_fetchall("BEGIN IMMEDIATE")
            try:
                yield _Connection(connection)
                with _explained():
                    await connection.commit()
            except BaseException:
                await connection.rollback()
                raise

    async def connect(self) -> Any:
        """Refuse: nobody else works on this database."""
        raise NotImplementedError("SQLite has one connection")

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
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        with _explained():
            return [dict(row) for row in await self._connection.execute_fetchall(dialect(sql), values)]

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        with _explained():
            await self._connection.executemany(dialect(sql), values)


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
