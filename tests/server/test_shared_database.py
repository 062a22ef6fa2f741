"""Servers on one PostgreSQL before and between their work: starting side by side, agreeing, losing the database."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy.postgres import Postgres
from deploy.programs import SCRIPTS
from projectw_server import agreement
from projectw_server.agreement import agree
from projectw_server.db import Database, DatabaseUnusable, Transaction, open_database
from projectw_server.dispatch.office import Office
from projectw_server.home import HomeError
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError
from projectw_shared.errors import Unavailable
from tests.server.core import Core, SetClock

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
shared = pytest.mark.parametrize("kind", ["postgres"])


@pytest.fixture
def fresh(postgres: Postgres) -> Iterator[str]:
    yield postgres.create("fresh")
    postgres.drop("fresh")


def test_servers_that_start_at_once_make_the_tables_once(fresh: str, tmp_path: Path) -> None:
    def start(number: int) -> subprocess.Popen[str]:
        file = tmp_path / f"{number}.yaml"
        file.write_text(f"server:\n  data_dir: {tmp_path / 'data'}\n  database_url: {fresh}\n")
        return subprocess.Popen(
            [SCRIPTS / "projectw-server", "--config", file, "runner", "add", f"gpu-{number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    started = [start(number) for number in range(3)]
    for each in started:
        out, err = each.communicate(timeout=60)
        assert each.returncode == 0, err
        assert out.startswith("pwr_")


@shared
async def test_servers_with_the_same_folder_and_key_agree(
    database: Database, settings: ServerSettings
) -> None:
    for _ in range(2):
        await agree(database, settings)


@shared
async def test_a_server_with_another_folder_is_refused(
    database: Database, settings: ServerSettings, tmp_path: Path
) -> None:
    await agree(database, replace(settings, signing_key=KEY))
    await Core(database).submit(await Core(database).person())
    with pytest.raises(HomeError, match="folder of recordings"):
        await agree(database, replace(settings, data_dir=tmp_path / "elsewhere", signing_key=KEY))


@shared
async def test_a_server_with_another_key_is_refused_while_one_runs_with_the_first(
    database: Database, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "WATCHED_SECONDS", 0.3)
    await agree(database, settings)
    running = Office(database, "sweeper", SetClock())

    async def run() -> None:
        while True:
            await running.hold()
            await asyncio.sleep(0.02)

    another = replace(settings, signing_key=KEY)
    task = asyncio.create_task(run())
    with pytest.raises(ConfigError, match="signing_key"):
        await agree(database, another)
    task.cancel()
    await asyncio.wait([task])
    # Nobody runs with the first one any more: this is the new one.
    await agree(database, another)
    await agree(database, another)


async def test_a_database_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="cannot be used") as caught:
        async with open_database(f"postgres://ada:secret@/none?host={tmp_path}"):
            pass
    assert "secret" not in str(caught.value)


async def test_a_database_that_goes_away_is_unavailable_until_it_is_back() -> None:
    server = Postgres(durable=True)
    try:
        async with open_database(server.create("own")) as database:
            core = Core(database)
            person = await core.person()
            await core.submit(person)
            server.stop("immediate")
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await core.submit(person)
                with pytest.raises(Unavailable):
                    await core.jobs.page(person, states=[], text=None, limit=10, cursor=None)
            server.start()
            await core.submit(person)
            page = await core.jobs.page(person, states=[], text=None, limit=10, cursor=None)
            assert len(page.jobs) == 2
    finally:
        server.close()


@shared
async def test_a_transaction_that_stands_in_anothers_way_is_begun_again(
    database: Database, core: Core
) -> None:
    people = [await core.person() for _ in range(2)]
    met = asyncio.Event()
    tries = locked = 0

    async def take(first: str, second: str) -> None:
        async def work(transaction: Transaction) -> None:
            nonlocal tries, locked
            tries += 1
            await transaction.next_change(first)
            locked += 1
            if locked >= 2:
                met.set()
            await met.wait()
            await transaction.next_change(second)

        await database.transaction(work)

    one, two = [person.id for person in people]
    await asyncio.gather(take(one, two), take(two, one))
    assert tries > 2
    rows = await database.rows("SELECT change FROM feeds ORDER BY owner_id")
    assert [row["change"] for row in rows] == [2, 2]
