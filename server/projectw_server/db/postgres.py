"""PostgreSQL: a pool of connections, which several servers share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient

from projectw_server.db.backends import Conflict, Duplicate, Link, Row, T
from projectw_shared.errors import StorageFull, Unavailable

POOL_SIZE = 10
"""Connections of one server. Each runs a process in the database; more than its cores gain little."""

ANSWER_SECONDS = 30.0

SERVER_SETTINGS = {
    "application_name": "projectw-server",
    # Our statements take well under a millisecond; compiling them would take longer.
    "jit": "off",
    # A server that was stopped in mid-transaction must not keep its locks for long.
    "idle_in_transaction_session_timeout": "15000",
    "lock_timeout": "10000",
    # A server whose machine has gone: its connections, and their locks, end within half a minute.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}


def credentials(given: dict[str, Any]) -> dict[str, Any]:
    """Return what Tortoise is to connect with: what the URL says, and our settings unless it says otherwise."""
    return {
        "maxsize": POOL_SIZE,
        "minsize": 0,
        "command_timeout": ANSWER_SECONDS,
        "timeout": ANSWER_SECONDS,
        # We change nothing about a connection that would have to be undone, so nothing is asked on each return.
        "reset": _leave_as_it_is,
        **given,
        "server_settings": {**SERVER_SETTINGS, **(given.get("server_settings") or {})},
    }


async def _leave_as_it_is(_connection: Any) -> None:
    pass


class PostgresBackend:
    """The pool that Tortoise has opened."""

    def __init__(self, client: AsyncpgDBClient) -> None:
        self._client = client
        self.connect: Callable[[], Awaitable[Any]] | None = self._open

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        """Run ``sql`` and return its rows."""
        async with self._connection() as connection:
            return await _Connection(connection).rows(sql, values)

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values, all or none."""
        async with self._connection() as connection:
            await _Connection(connection).many(sql, values)

    async def transact(self, work: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` on a connection of its own."""
        async with self._connection() as connection:
            transaction = connection.transaction()
            with _explained():
                await transaction.start()
            try:
                result = await work(_Connection(connection))
            except BaseException:  # raised again: whatever ended it, nothing of it is kept
                # Without its connection it is rolled back already, and why has been said.
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await transaction.rollback()
                raise
            with _explained():
                await transaction.commit()
            return result

    async def _open(self) -> Any:
        """Open a connection beside the pool's, for listening: one that stays."""
        client = self._client
        return await asyncpg.connect(
            host=client.host,
            port=client.port,
            user=client.user,
            password=client.password,
            database=client.database,
            ssl=client.extra.get("ssl"),
            timeout=ANSWER_SECONDS,
            server_settings=client.server_settings,
        )

    async def lookup(self, sql: str, values: list[Any]) -> Row | None:
        """Run ``sql`` and return its first row, or None."""
        found = await self.rows(sql, values)
        return found[0] if found else None

    async def checkpoint(self) -> None:
        """Do nothing: PostgreSQL tidies up by itself."""

    def close(self) -> None:
        """Do nothing: the pool is Tortoise's."""

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        pool = self._client._pool
        assert pool is not None, "opened with the database"
        with _explained():
            connection = await pool.acquire(timeout=ANSWER_SECONDS)
        try:
            yield connection
        finally:
            await pool.release(connection)


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        with _explained():
            return [dict(row) for row in await self._connection.fetch(sql, *_storable(values))]

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        with _explained():
            await self._connection.executemany(sql, list(map(_storable, values)))


def _storable(values: list[Any]) -> list[Any]:
    """Return ``values`` without the one character that PostgreSQL keeps in no text."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in values]


_CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # Stopped for a while in mid-transaction, by a debugger or by the machine: nothing of it was kept.
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
)

_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError, too
)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Duplicate(str(error)) from error
    except _CONFLICTS as error:
        raise Conflict(str(error)) from error
    except asyncpg.DiskFullError as error:
        raise StorageFull("The database's disk is full; nothing was stored") from error
    except _GONE as error:
        raise Unavailable("The database does not answer; try again", retry_after=2) from error
