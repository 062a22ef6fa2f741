"""Orphans are removed when they are old enough; what a job knows stays."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from projectw_server.storage.folder import FolderStore
from projectw_server.uploads import sweeping
from projectw_server.uploads.sweeping import Sweeping
from projectw_shared.ids import new_id

Stored = Callable[[], list[str]]


async def put(store: FolderStore) -> str:
    id = new_id()
    async with store.writing(id) as writer:
        await writer.write(b"x")
        await writer.commit()
    return id


async def test_old_recordings_without_a_job_are_removed(store: FolderStore, stored: Stored) -> None:
    ids = [await put(store) for _ in range(5)]
    asked: list[str] = []

    async def known(some: list[str]) -> set[str]:
        asked.extend(some)
        return {ids[1], ids[3], "another"}

    assert await Sweeping(store, known, grace_seconds=-60).sweep() == 3
    assert stored() == [ids[1], ids[3]]
    assert sorted(asked) == ids


async def test_what_has_just_arrived_is_left_alone(store: FolderStore, stored: Stored) -> None:
    id = await put(store)

    async def known(_ids: list[str]) -> set[str]:
        raise AssertionError("nothing is old enough to ask for")

    assert await Sweeping(store, known).sweep() == 0
    assert stored() == [id]


async def test_a_failed_round_does_not_end_the_sweeping(
    store: FolderStore, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "INTERVAL_SECONDS", 0.0)
    await put(store)
    rounds = 0

    async def known(_ids: list[str]) -> set[str]:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise RuntimeError("the database is away")
        return set()

    task = asyncio.create_task(Sweeping(store, known, grace_seconds=-60).run())
    async with asyncio.timeout(30):
        while stored():
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_deletion_that_failed_is_made_up_for(tmp_path: Path) -> None:
    class Stubborn(FolderStore):
        failures = 1

        async def delete(self, id: str) -> None:
            if self.failures:
                self.failures -= 1
                raise PermissionError("not now")
            await super().delete(id)

    store = Stubborn(tmp_path)
    id = await put(store)
    with pytest.raises(PermissionError):
        await store.delete(id)

    async def known(_ids: list[str]) -> set[str]:
        return set()

    assert await Sweeping(store, known, grace_seconds=-60).sweep() == 1
