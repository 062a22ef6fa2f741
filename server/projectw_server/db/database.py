"""Opening the database, and the one way to run a transaction.

A request whose client goes away is cancelled. A transaction must not be: cancelled while it begins or ends it
would leave its connection in nobody knows what state. So each runs in a task of its own, behind a shield; a
lint rule forbids Tortoise's bare form.

Row locks are taken in one order, so that no two transactions wait for each other: the runner, then the job, then
(with ``next_change``) the numbers of the job's owner.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any, TypeVar

import structlog
from tortoise import Tortoise
from tortoise.connection import get_connection

from projectw_server.db.backends import Backend, Conflict, Link, Row
from projectw_server.db.migrating import bring_up_to_date
from projectw_server.db.opening import backend_of, configuration, explained
from projectw_shared.errors import Unavailable

T = TypeVar("T")

TRIES = 5
"""How often a transaction is begun that others stood in the way of."""

_log = structlog.get_logger(__name__)


class Statements:
    """Plain SQL with ``$1``-style parameters; locks on rows are written as for PostgreSQL, and left out on SQLite."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Run ``sql`` and return its rows, also those of a RETURNING clause.

        Raises Duplicate when a row breaks a rule of uniqueness.
        """
        return await self._link.rows(sql, list(values))

    async def row(self, sql: str, *values: Any) -> Row | None:
        """Run ``sql`` and return its first row, or None."""
        found = await self.rows(sql, *values)
        return found[0] if found else None

    async def lookup(self, sql: str, *values: Any) -> Row | None:
        """Return the row that ``sql`` finds by an index, or None; it changes and locks nothing.

        Within a transaction as it stands there, outside as it was committed last.
        """
        return await self.row(sql, *values)

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values, all or none."""
        await self._link.many(sql, values)


class Transaction(Statements):
    """Statements that happen together or not at all."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.after_commit: list[Callable[[], object]] = []
        """Called in order, at once after the commit."""

    async def next_change(self, owner_id: str, count: int = 1) -> int:
        """Take ``count`` change numbers of a user and return the last of them.

        Until the commit no other transaction gets one of the same user: they become visible in their order.
        """
        row = await self.row(
            "INSERT INTO feeds (owner_id, change, horizon) VALUES ($1, $2, 0)"
            " ON CONFLICT (owner_id) DO UPDATE SET change = feeds.change + excluded.change RETURNING change",
            owner_id,
            count,
        )
        assert row is not None, "inserting or updating gives a row"
        return int(row["change"])


class Database(Statements):
    """The open database."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._backend = backend
        self._running: set[asyncio.Task[Any]] = set()
        self.on_timed: list[Callable[[str, float], object]] = []
        """Called with ``statement`` or ``transaction`` and the seconds that it took."""

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Run ``sql`` by itself and return its rows."""
        with self._timed("statement"):
            return await super().rows(sql, *values)

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            for call in self.on_timed:
                call(kind, time.perf_counter() - began)

    async def lookup(self, sql: str, *values: Any) -> Row | None:
        """Return the row that ``sql`` finds by an index, or None, as it was committed last."""
        with self._timed("statement"):
            return await self._backend.lookup(sql, list(values))

    @property
    def is_shared(self) -> bool:
        """Other servers may work on this database at the same time."""
        return self._backend.connect is not None

    @property
    def connect(self) -> Callable[[], Awaitable[Any]] | None:
        """Opens a connection of one's own, of the driver's kind; None where the database is not shared."""
        return self._backend.connect

    async def transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction that a cancelled caller neither stops nor breaks.

        Commits when ``work`` returns, rolls back when it raises. What it put into ``after_commit`` is then
        called, also when the caller is gone by that time. ``work`` awaits nothing but its statements, and on SQLite
        runs on the database's thread: what it wants to change in memory belongs into ``after_commit``. Where
        other transactions stand in the way it is run again from the start. Raises Unavailable when the database
        does not answer: whether the commit reached it is then unknown.
        """
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def _run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async def whole(link: Link) -> tuple[Transaction, T]:
            transaction = Transaction(link)
            return transaction, await work(transaction)

        for _ in range(TRIES):
            try:
                with self._timed("transaction"):
                    transaction, result = await self._backend.transact(whole)
            except Conflict as conflict:
                _log.info("transaction begun again", reason=str(conflict))
                continue
            for call in transaction.after_commit:
                call()
            return result
        raise Unavailable("The database is busy; try again", retry_after=1)

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
        """Let deleted text not be readable any longer than it must, where that is ours to do."""
        await self._backend.checkpoint()


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open the database at ``url``, bring its tables up to date, and close it at the end.

    Opened around the web server, not inside it: the server's start-up and its requests run in different tasks.
    Raises ConfigError when the URL is wrong, DatabaseUnusable when what it names cannot be opened.
    """
    config = configuration(url)
    with explained(url):
        await bring_up_to_date(url, config)
    await Tortoise.init(config=config, _enable_global_fallback=True)
    client = get_connection("default")
    try:
        with explained(url):
            await client.create_connection(with_db=True)
        with closing(backend_of(client)) as backend:
            database = Database(backend)
            try:
                yield database
            finally:
                await database.settle()
    finally:
        await Tortoise.close_connections()
