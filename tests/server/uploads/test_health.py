"""Health says which part does not answer, within its time, and asks a stuck part only once."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from projectw_server.db import Database, open_database
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.health import Health
from projectw_shared.errors import StorageFull


class FakeDatabase(Database):
    """A database that answers as it is told."""

    def __init__(self, *, error: Exception | None = None, stuck: bool = False) -> None:
        self.asked = 0
        self.released = asyncio.Event()
        self._error = error
        if not stuck:
            self.released.set()

    async def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        self.asked += 1
        await self.released.wait()
        if self._error is not None:
            raise self._error
        return [{"1": 1}]


async def test_a_server_in_order_has_nothing_to_say(tmp_path: Path) -> None:
    async with open_database(f"sqlite://{tmp_path / 'test.sqlite3'}") as database:
        health = Health(database, FolderStore(tmp_path / "recordings"))
        assert await health.check() == {"database": None, "storage": None}


async def test_a_part_that_fails_is_named_without_its_secrets(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "recordings")
    health = Health(FakeDatabase(error=OSError("password of postgres://me:secret@db")), store)
    shutil.rmtree(tmp_path / "recordings")
    found = await health.check()
    assert found["database"] == "The database does not work; the server's log says more"
    assert found["storage"] == "The storage does not work; the server's log says more"


async def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    class Full(FolderStore):
        async def check(self) -> None:
            raise StorageFull("The server's disk is full")

    health = Health(FakeDatabase(), Full(tmp_path))
    assert await health.check() == {"database": None, "storage": "The server's disk is full"}


async def test_a_stuck_part_is_told_in_time_asked_once_and_heals(tmp_path: Path) -> None:
    database = FakeDatabase(stuck=True)
    health = Health(database, FolderStore(tmp_path), limit_seconds=0.01)
    for _ in range(3):
        assert (await health.check())["database"] == "The database has not answered for 0.01 s"
    assert database.asked == 1
    database.released.set()
    async with asyncio.timeout(30):
        while (await health.check())["database"] is not None:
            await asyncio.sleep(0)
