"""Transactions of callers who leave: they end as a whole, and the next one can begin."""

import asyncio

import pytest

from projectw_server.db import Database, Transaction

OWNER = "1" * 36


@pytest.fixture
async def database(database: Database) -> Database:
    await database.rows(
        "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
        " VALUES ($1, 'ada@example.org', '', FALSE, FALSE, 0)",
        OWNER,
    )
    return database


async def count(database: Database) -> int:
    row = await database.row("SELECT change FROM feeds WHERE owner_id = $1", OWNER)
    return row["change"] if row else 0


async def twice(transaction: Transaction) -> int:
    await transaction.next_change(OWNER)
    return await transaction.next_change(OWNER)


@pytest.mark.parametrize("step", range(40))
async def test_a_caller_who_is_cancelled_at_any_step_holds_no_lock_and_leaves_no_half(
    database: Database, step: int
) -> None:
    caller = asyncio.ensure_future(database.transaction(twice))
    for _ in range(step):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    async with asyncio.timeout(10):
        assert await database.transaction(twice) in (2, 4)
        await database.settle()
        assert await count(database) in (2, 4)


async def test_what_follows_a_commit_is_done_although_the_caller_has_left(database: Database) -> None:
    done: list[int] = []

    async def work(transaction: Transaction) -> None:
        transaction.after_commit.append(lambda: done.append(1))
        caller.cancel()
        await transaction.next_change(OWNER)

    caller = asyncio.ensure_future(database.transaction(work))
    await asyncio.wait([caller])
    await database.settle()
    assert done == [1]
    assert await count(database) == 1


async def test_a_transaction_that_breaks_leaves_nothing_and_tells_nobody(database: Database) -> None:
    done: list[int] = []

    async def work(transaction: Transaction) -> None:
        transaction.after_commit.append(lambda: done.append(1))
        await transaction.next_change(OWNER)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await database.transaction(work)
    assert done == []
    assert await count(database) == 0


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_transaction_that_waits_for_something_else_is_refused_and_leaves_nothing(
    database: Database,
) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.next_change(OWNER)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its own statements"):
        await database.transaction(work)
    assert await count(database) == 0
    assert await database.transaction(twice) == 2
