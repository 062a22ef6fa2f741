"""Moving to PostgreSQL: whatever was there before is there afterwards, and work goes on."""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tortoise.models import Model

from deploy.postgres import Postgres
from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.agreement import agree
from projectw_server.cli import run
from projectw_server.db import Database, Row, models, open_database
from projectw_server.db.moving import TABLES, NotMoved, move
from projectw_server.home import HomeError
from projectw_server.settings import ServerSettings
from tests.server.core import Core, appending, beat

on_sqlite = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    yield postgres.create("moved")
    postgres.drop("moved")


async def live_through_something(core: Core) -> tuple[Person, str]:
    """Leave something in as many tables as there are, odd texts among it."""
    ada, bob = await core.person(), await core.person()
    holder = await core.holder("gpu ü\0")
    done = await core.submit(ada, name="Gespräch – 1.wav", key="key")
    held = await core.claim(holder)
    await core.leases.beat(holder, appending(held, 0, 3, resume_at=3.0))
    core.clock.advance(20)
    await core.leases.beat(holder, beat(held, 0.5, duration=60.0, language="de"))
    finished = held.id
    await core.finish(holder, held, 3)
    gone = await core.submit(bob)
    await core.jobs.delete(bob, gone.id)
    failed = await core.submit(bob, priority=-3)
    await core.fail(holder, await core.claim(holder))
    await core.jobs.retry(bob, failed.id)
    running = await core.submit(ada, priority=2)
    held = await core.claim(holder)
    assert held.id == running.id
    await core.leases.beat(holder, appending(held, 0, 1, resume_at=1.0))
    assert done.id == finished
    return ada, running.id


async def rows_of(database: Database) -> dict[str, list[Row]]:
    return {
        model._meta.db_table: sorted(
            await database.rows(f"SELECT * FROM {model._meta.db_table}"),
            key=lambda row: str(row[model._meta.db_pk_column]),
        )
        for model in TABLES
    }


def plain(rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {
        table: [
            {
                name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
                for name, value in row.items()
            }
            for row in each
        ]
        for table, each in rows.items()
    }


@on_sqlite
async def test_every_row_is_there_afterwards_and_work_goes_on(settings: ServerSettings, target: str) -> None:
    async with open_database(settings.database) as database:
        core = Core(database)
        person, running = await live_through_something(core)
        before = await rows_of(database)
        clock = core.clock
    told: list[str] = []
    async with open_database(target) as database:
        counts = await move(settings.home / "projectw.sqlite3", database, lambda table, _: told.append(table))
        assert await rows_of(database) == plain(before)
        assert counts == {table: len(rows) for table, rows in before.items()}
        assert {"users", "jobs", "segments"} <= set(told)
        # Numbers that the database gives go on behind those that came along.
        core = Core(database, clock)
        row = await core.row(running)
        holder = (await core.fleet.overview()).runners[0]
        session = await database.row("SELECT session FROM runners WHERE id = $1", holder.id)
        assert session is not None
        again = await core.leases.held_by(
            (await core.fleet.holder(await identity(database, holder.id), session["session"]))[0]
        )
        assert again is not None
        assert (again.id, again.lease) == (running, row["lease"])
        found = (await core.fleet.holder(await identity(database, holder.id), session["session"]))[0]
        await core.leases.beat(found, appending(again, 1, 2, resume_at=3.0))
        await core.finish(found, again, 3)
        assert (await core.jobs.get(person, running)).state == "succeeded"


async def identity(database: Database, runner_id: str) -> RunnerIdentity:
    row = await database.row("SELECT id, name FROM runners WHERE id = $1", runner_id)
    assert row is not None
    return RunnerIdentity(**row)


@on_sqlite
async def test_a_database_that_is_in_use_is_not_written_to(settings: ServerSettings, target: str) -> None:
    async with open_database(target) as database:
        await Core(database).person()
        with pytest.raises(NotMoved, match="not empty"):
            await move(settings.home / "projectw.sqlite3", database, lambda *_: None)


@on_sqlite
def test_the_command_moves_and_says_how_many(
    settings: ServerSettings,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("projectw_server.logs.set_up", lambda *_: None)
    file = tmp_path / "config.yaml"
    file.write_text(f"server:\n  data_dir: {settings.home}\n")
    ours = ["--config", str(file)]
    assert run([*ours, "runner", "add", "gpu-1"]) == 0
    assert run([*ours, "migrate-database", target]) == 0
    assert "runners: 1\n" in capsys.readouterr().err
    assert run([*ours, "migrate-database", target]) == 1
    assert "not empty" in capsys.readouterr().err
    assert run([*ours, "migrate-database", "sqlite:///x"]) == 2
    assert run([*ours, "migrate-database", "mysql://x"]) == 78
    file.write_text(f"server:\n  data_dir: {settings.home}\n  database_url: {target}\n")
    assert run([*ours, "runner", "list", "--json"]) == 0
    assert "gpu-1" in capsys.readouterr().out


@on_sqlite
async def test_a_database_on_which_a_server_has_run_is_not_written_to(
    settings: ServerSettings, target: str, tmp_path: Path
) -> None:
    async with open_database(target) as database:
        await agree(database, replace(settings, data_dir=tmp_path / "another", database_url=target))
        with pytest.raises(NotMoved, match="no server has run"):
            await move(settings.home / "projectw.sqlite3", database, lambda *_: None)


@on_sqlite
def test_a_server_starts_on_what_was_moved_with_the_recordings_that_were_there_and_no_others(
    settings: ServerSettings, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectw_server.logs.set_up", lambda *_: None)
    blob = settings.home / "recordings" / "blobs" / "00" / "recording"
    blob.parent.mkdir(parents=True)
    blob.touch()

    async def live() -> None:
        async with open_database(settings.database) as database:
            await live_through_something(Core(database))

    async def start(home: Path) -> None:
        async with open_database(target) as database:
            await agree(database, replace(settings, data_dir=home, database_url=target))

    asyncio.run(live())
    file = tmp_path / "config.yaml"
    file.write_text(f"server:\n  data_dir: {settings.home}\n")
    assert run(["--config", str(file), "migrate-database", target]) == 0
    with pytest.raises(HomeError, match="folder of recordings"):
        asyncio.run(start(tmp_path / "another"))
    asyncio.run(start(settings.home))


def test_no_table_is_left_out() -> None:
    all_models = {
        each
        for _, each in inspect.getmembers(models, inspect.isclass)
        if issubclass(each, Model) and each is not Model
    }
    assert set(TABLES) == all_models
