"""Lookups: rows read as of the last commit; on SQLite beside the one connection, and never in anyone's way."""

import asyncio
import sqlite3
import threading

import pytest

from projectw_server.db import Database, Transaction
from projectw_server.db.lookups import Lookups
from projectw_server.db.sqlite import SqliteBackend
from projectw_server.settings import ServerSettings

VALUE = "SELECT value FROM virtual_times WHERE rank = $1"
CHANGE = (
    "INSERT INTO virtual_times (rank, value) VALUES ($1, 1)"
    " ON CONFLICT (rank) DO UPDATE SET value = virtual_times.value + 1"
)
RANK = 7

on_sqlite = pytest.mark.parametrize("kind", ["sqlite"])


def lookups_of(database: Database) -> Lookups:
    backend = database._backend
    assert isinstance(backend, SqliteBackend)
    assert backend._lookups is not None
    return backend._lookups


async def test_a_lookup_sees_what_was_just_committed_and_nothing_that_was_not(database: Database) -> None:
    seen = []

    async def work(transaction: Transaction) -> None:
        await transaction.rows(CHANGE, RANK)
        seen.append((await transaction.lookup(VALUE, RANK), await database.lookup(VALUE, RANK)))

    await database.transaction(work)
    assert seen == [({"value": 1.0}, None)]
    assert await database.lookup(VALUE, RANK) == {"value": 1.0}
    await database.rows(CHANGE, RANK)
    assert await database.lookup(VALUE, RANK) == {"value": 2.0}


@on_sqlite
async def test_a_lookup_does_not_wait_for_a_transaction(database: Database) -> None:
    begun, done = threading.Event(), threading.Event()

    async def work(transaction: Transaction) -> None:
        await transaction.rows(CHANGE, RANK)
        begun.set()
        assert done.wait(10)

    working = asyncio.create_task(database.transaction(work))
    assert await asyncio.to_thread(begun.wait, 10)
    try:
        async with asyncio.timeout(10):
            assert await database.lookup(VALUE, RANK) is None
        assert not working.done()
    finally:
        done.set()
        await working


@on_sqlite
async def test_the_log_can_be_emptied_after_lookups(database: Database, settings: ServerSettings) -> None:
    await database.rows(CHANGE, RANK)
    assert await database.lookup(VALUE, RANK)
    await database.checkpoint()
    assert (settings.home / "projectw.sqlite3-wal").stat().st_size == 0


@on_sqlite
async def test_the_connection_of_lookups_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        lookups_of(database).row(CHANGE.replace("$1", "7"), [])


@on_sqlite
async def test_a_lookup_that_cannot_be_answered_on_the_spot_is_asked_as_any_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.rows(CHANGE, RANK)
    monkeypatch.setattr(lookups_of(database), "row", _busy)
    assert await database.lookup(VALUE, RANK) == {"value": 1.0}


def _busy(_sql: str, _values: object) -> None:
    raise sqlite3.OperationalError("database is locked")
