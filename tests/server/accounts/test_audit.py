"""The audit log: every entry once, in a chain that shows what was changed, taken out or put in."""

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from projectw_server.accounts import chain, cutting
from projectw_server.accounts.acting import Actor, acting
from projectw_server.accounts.audit import Action, Reading, note
from projectw_server.accounts.chain import BEGINNING, HEAD_FILE, Audit
from projectw_server.accounts.cutting import DAY
from projectw_server.db import Database, Row, Transaction
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


async def test_an_action_that_there_is_not_is_answered_with_those_like_it(audit: Audit) -> None:
    with pytest.raises(Invalid, match=r"'log'; there are login, login-failed, logout$"):
        await audit.page(action="log", actor_id=None, limit=2, cursor=None)
    with pytest.raises(Invalid, match=r"there are login, .*, audit-cut$"):
        await audit.page(action="nothing of ours", actor_id=None, limit=2, cursor=None)


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


async def aged(database: Database, days: Sequence[float]) -> None:
    """Write an entry for each of ``days``, so long ago."""
    for age, entry in zip(days, await written(database, len(days)), strict=True):
        await database.rows("UPDATE audit SET at = at - $1 WHERE object_id = $2", age * DAY, entry)


@pytest.fixture
def forgetful(database: Database, tmp_path: Path) -> Audit:
    return Audit(database, tmp_path / HEAD_FILE, keep_days=30)


async def test_old_entries_are_cut_off_and_the_chain_goes_on_from_there(
    database: Database, forgetful: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "CUT_AT_ONCE", 2)
    await aged(database, [90, 60, 40, 10, 0])
    await forgetful.seal()
    assert await forgetful.cut() == 3
    for verdict in (await forgetful.verify(), (await forgetful.seal(), await forgetful.verify())[1]):
        assert verdict.fault is None
        assert verdict.cut.through == 3
        assert verdict.cut.before == pytest.approx(time.time() - 30 * DAY, abs=60)
    assert [row["number"] async for row in forgetful.entries()] == [4, 5, 6, 7]
    assert await forgetful.cut() == 0
    await written(database, 1)
    await forgetful.seal()
    assert (await forgetful.verify()).number == 8


async def test_an_audit_log_is_kept_forever_unless_told_otherwise(database: Database, audit: Audit) -> None:
    await aged(database, [5000, 0])
    await audit.seal()
    assert await audit.cut() == 0
    assert (await audit.verify()).number == 2


async def test_the_last_entry_stays_however_old_and_what_is_not_sealed(
    database: Database, forgetful: Audit
) -> None:
    await aged(database, [90, 60])
    await forgetful.seal()
    await aged(database, [50])
    assert await forgetful.cut() == 1
    verdict = await forgetful.verify()
    assert (verdict.number, verdict.waiting, verdict.fault) == (2, 2, None)


@pytest.mark.parametrize(
    "crime",
    [
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit WHERE number <= 4",
        "DELETE FROM audit WHERE action = 'audit-cut'",
        "UPDATE audit SET details = replace(details, '\"through\":2', '\"through\":3') WHERE action = 'audit-cut'",
    ],
)
async def test_what_is_taken_out_beside_the_cut_is_found(
    database: Database, forgetful: Audit, crime: str
) -> None:
    await aged(database, [90, 60, 10, 5, 0])
    await forgetful.seal()
    await forgetful.cut()
    await forgetful.seal()
    assert (await forgetful.verify()).fault is None
    await database.rows(crime)
    assert (await forgetful.verify()).fault is not None


async def test_of_cut_entries_that_were_known_the_last_is_compared_and_an_earlier_one_proves_nothing(
    database: Database, forgetful: Audit, tmp_path: Path
) -> None:
    await aged(database, [90, 60, 0])
    await forgetful.seal()
    rows = [row async for row in forgetful.entries()]
    await forgetful.cut()
    fault = (await forgetful.verify((1, rows[0]["hash"]))).fault
    assert fault is not None
    assert "later one" in fault.what
    assert (await forgetful.verify((2, rows[1]["hash"]))).fault is None
    assert (await forgetful.verify((2, rows[0]["hash"]))).fault is not None
    # The head of a server that has sealed nothing since those days.
    late = tmp_path / "late.head"
    late.write_text(f"1 {rows[0]['hash']}\n")
    await Audit(database, late).seal()
    assert late.read_text().startswith("4 ")


@pytest.mark.parametrize("days", [40.0, 0.0, -1.0])
@pytest.mark.parametrize("kept", ["file", "elsewhere"])
async def test_what_somebody_removes_and_passes_off_as_old_is_found_by_what_was_kept(
    database: Database, audit: Audit, tmp_path: Path, kept: str, days: float
) -> None:
    await written(database, 4)
    await audit.seal()
    known = await audit.verify()
    if kept == "elsewhere":
        (tmp_path / HEAD_FILE).unlink()
    rows = await database.rows("DELETE FROM audit WHERE number IS NOT NULL RETURNING key, number")
    anything = "ab" * 32
    await written(database, 1)
    last = (await database.rows("SELECT * FROM audit"))[0] | {"number": len(rows) + 2}
    await database.rows(
        "UPDATE audit SET number = $1, hash = $2", last["number"], chain.hash_of(last, anything)
    )
    await note(
        database, Action.AUDIT_CUT, through=len(rows) + 1, hash=anything, before=time.time() - days * DAY
    )
    for _ in range(2):
        expected = (known.number, known.hash) if kept == "elsewhere" else None
        fault = (await audit.verify(expected)).fault
        assert fault is not None
        assert "removed" in fault.what
        await audit.seal()


async def test_what_is_cut_off_while_the_log_is_read_is_no_fault(
    database: Database, forgetful: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "READ_AT_ONCE", 1)
    await aged(database, [90, 60, 50, 0])
    await forgetful.seal()
    entries = forgetful.entries

    async def cutting() -> AsyncIterator[Row]:
        async for row in entries():
            yield row
            await forgetful.cut()

    monkeypatch.setattr(forgetful, "entries", cutting)
    verdict = await forgetful.verify()
    assert verdict.fault is None
    assert verdict.cut.through == 3
