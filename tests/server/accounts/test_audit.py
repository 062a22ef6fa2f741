"""The audit log: every entry once, in a chain that shows what was changed, taken out or put in."""

from pathlib import Path
from typing import Any

import pytest

from projectw_server.accounts.acting import Actor, acting
from projectw_server.accounts.audit import Action, Reading, note
from projectw_server.accounts.chain import BEGINNING, HEAD_FILE, Audit
from projectw_server.db import Database, Transaction
from projectw_shared.errors import Invalid
from projectw_shared.ids import new_id


@pytest.fixture
def audit(database: Database, tmp_path: Path) -> Audit:
    return Audit(database, tmp_path / HEAD_FILE)


async def written(database: Database, count: int) -> list[str]:
    ids = [new_id() for _ in range(count)]
    for each in ids:
        await note(database, Action.JOB_SUBMITTED, each, bytes=3)
    return ids


async def test_entries_are_numbered_without_a_gap_and_bound_to_one_another(
    database: Database, audit: Audit
) -> None:
    ids = await written(database, 3)
    await audit.seal()
    rows = [row async for row in audit.entries()]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert [row["object_id"] for row in rows] == ids
    assert len({row["hash"] for row in rows} | {BEGINNING}) == 4
    verdict = await audit.verify()
    assert (verdict.number, verdict.hash, verdict.waiting, verdict.fault) == (3, rows[-1]["hash"], 0, None)


async def test_what_is_not_sealed_yet_is_counted_and_sealed_next_time(
    database: Database, audit: Audit
) -> None:
    await written(database, 2)
    await audit.seal()
    await written(database, 1)
    verdict = await audit.verify()
    assert (verdict.number, verdict.waiting, verdict.fault) == (2, 1, None)
    await audit.seal()
    assert (await audit.verify()).number == 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("action", "'login'"),
        ("actor_id", "'01a21452-11de-7357-b7e8-fcbfdd92d249'"),
        ("actor_kind", "'operator'"),
        ("address", "'10.0.0.1'"),
        ("object_id", "NULL"),
        ("details", "'{}'"),
        ("at", "at + 1"),
        ("hash", f"'{'0' * 64}'"),
    ],
)
async def test_a_changed_entry_is_found(database: Database, audit: Audit, column: str, value: str) -> None:
    await written(database, 5)
    await audit.seal()
    await database.rows(f"UPDATE audit SET {column} = {value} WHERE number = 3")
    fault = (await audit.verify()).fault
    assert fault is not None
    assert fault.number == 3


@pytest.mark.parametrize("number", [1, 3, 5])
async def test_a_missing_entry_is_found_the_last_one_too(
    database: Database, audit: Audit, number: int
) -> None:
    await written(database, 5)
    await audit.seal()
    await database.rows("DELETE FROM audit WHERE number = $1", number)
    fault = (await audit.verify()).fault
    assert fault is not None
    assert fault.number == number
    assert "missing" in fault.what


async def test_a_log_that_is_written_anew_is_found_by_what_was_kept_elsewhere(
    database: Database, audit: Audit, tmp_path: Path
) -> None:
    await written(database, 3)
    await audit.seal()
    known = await audit.verify()
    await database.rows("DELETE FROM audit WHERE number = 2")
    await database.rows("UPDATE audit SET number = NULL, hash = NULL")
    another = Audit(database, tmp_path / "another.head")
    await another.seal()
    assert (await another.verify()).fault is None, "by itself it is in order"
    assert (await another.verify((known.number, known.hash))).fault is not None
    assert (await audit.verify()).fault is not None, "the file remembers it"


async def test_an_entry_is_there_only_if_what_it_tells_of_is(database: Database, audit: Audit) -> None:
    async def work(transaction: Transaction) -> None:
        await note(transaction, Action.JOB_DELETED, new_id())
        raise Invalid("no")

    with pytest.raises(Invalid):
        await database.transaction(work)
    await audit.seal()
    assert (await audit.verify()).number == 0


async def test_who_acts_is_noted_with_the_address(database: Database, audit: Audit) -> None:
    user_id = new_id()
    with acting(Actor("user", user_id, "192.0.2.7", "curl")):
        await note(database, Action.TOKEN_CREATED, "t", scope="read")
    await note(database, Action.USER_ERASED, "u")
    entries = (await audit.page(action=None, actor_id=None, limit=10, cursor=None)).entries
    assert [(each.actor_kind, each.actor_id, each.address) for each in entries] == [
        ("server", None, None),
        ("user", user_id, "192.0.2.7"),
    ]
    assert entries[1].details == {"scope": "read"}


async def test_pages_are_filtered_and_lead_on(database: Database, audit: Audit) -> None:
    ids = await written(database, 3)
    await note(database, Action.LOGGED_IN, "s")
    first = await audit.page(action="job-submitted", actor_id=None, limit=2, cursor=None)
    assert [each.object_id for each in first.entries] == [ids[2], ids[1]]
    rest = await audit.page(action="job-submitted", actor_id=None, limit=2, cursor=first.next_cursor)
    assert [each.object_id for each in rest.entries] == [ids[0]]
    assert rest.next_cursor is None
    with pytest.raises(Invalid):
        await audit.page(action=None, actor_id=None, limit=2, cursor="x")


async def test_who_reads_on_in_a_transcript_is_noted_once(database: Database, audit: Audit) -> None:
    reading, job_id = Reading(database), new_id()

    async def count() -> Any:
        return len((await audit.page(action=None, actor_id=None, limit=99, cursor=None)).entries)

    for _ in range(3):
        await reading.note(Action.TRANSCRIPT_READ, job_id)
    assert await count() == 1
    await reading.note(Action.TRANSCRIPT_EXPORTED, job_id, format="srt")
    await reading.note(Action.TRANSCRIPT_EXPORTED, job_id, format="txt")
    with acting(Actor("user", new_id(), "192.0.2.7")):
        await reading.note(Action.TRANSCRIPT_READ, job_id)
    assert await count() == 4


@pytest.mark.parametrize(
    "crime",
    [
        "DELETE FROM audit WHERE number >= 3",
        "UPDATE audit SET number = NULL, hash = NULL, action = 'login' WHERE number >= 3",
    ],
)
async def test_what_was_done_to_the_end_shows_after_further_entries_were_sealed(
    database: Database, audit: Audit, crime: str
) -> None:
    await written(database, 4)
    await audit.seal()
    await database.rows(crime)
    await written(database, 5)
    await audit.seal()
    fault = (await audit.verify()).fault
    assert fault is not None
    await written(database, 1)
    await audit.seal()
    assert (await audit.verify()).fault == fault


async def test_an_entry_that_somebody_made_unreadable_hides_no_other(
    database: Database, audit: Audit
) -> None:
    await written(database, 2)
    await audit.seal()
    await database.rows("UPDATE audit SET details = 'no json' WHERE number = 1")
    page = await audit.page(action=None, actor_id=None, limit=10, cursor=None)
    assert [entry.details for entry in page.entries] == [{"bytes": 3}, {"unreadable": "no json"}]
