"""The folder of recordings: complete or not there, private, and honest when the disk is full."""

import asyncio
import errno
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from projectw_server.storage.folder import HOP_BYTES, PIECE_BYTES, FolderStore
from projectw_shared.errors import NotFound, StorageFull
from projectw_shared.ids import new_id


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "recordings")


async def put(store: FolderStore, content: bytes) -> str:
    id = new_id()
    async with store.writing(id) as writer:
        await writer.write(content)
        await writer.commit()
    return id


async def read(store: FolderStore, id: str, *place: int) -> bytes:
    return b"".join([piece async for piece in (await store.open(id)).pieces(*place)])


def files(store: FolderStore) -> list[Path]:
    return [path for path in store._root.rglob("*") if path.is_file()]


async def test_what_was_written_in_any_chunks_is_read_back_with_its_digest(store: FolderStore) -> None:
    content = os.urandom(3 * HOP_BYTES + 17)
    id = new_id()
    async with store.writing(id) as writer:
        for start in range(0, len(content), 100_003):
            await writer.write(content[start : start + 100_003])
        digest = await writer.commit()
    assert digest == hashlib.sha256(content).hexdigest()
    assert await store.size(id) == len(content)
    assert await read(store, id) == content


async def test_any_part_is_read_in_bounded_pieces(store: FolderStore) -> None:
    content = os.urandom(3 * PIECE_BYTES)
    id = await put(store, content)
    pieces = [piece async for piece in (await store.open(id)).pieces(5, 2 * PIECE_BYTES)]
    assert b"".join(pieces) == content[5 : 5 + 2 * PIECE_BYTES]
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert await read(store, id, len(content) - 3, 100) == content[-3:]


async def test_nothing_is_visible_before_the_commit_and_nothing_partial_after_it(store: FolderStore) -> None:
    id = new_id()
    async with store.writing(id) as writer:
        await writer.write(b"x" * HOP_BYTES)
        with pytest.raises(NotFound):
            await store.open(id)
        await writer.commit()
    assert [path.name for path in files(store)] == [id]
    assert files(store)[0].parent.name == id[-2:]


async def test_leaving_without_commit_or_with_an_error_leaves_nothing(store: FolderStore) -> None:
    async with store.writing(new_id()) as writer:
        await writer.write(b"x" * HOP_BYTES)
    with pytest.raises(RuntimeError, match="broken"):
        async with store.writing(new_id()) as writer:
            await writer.write(b"x")
            await writer.commit()
            raise RuntimeError("broken after the commit, before anyone was told")
    assert files(store) == []


async def test_folders_and_files_are_for_the_server_alone(store: FolderStore) -> None:
    before = os.umask(0)
    try:
        await put(FolderStore(store._root / "inner"), b"secret")
    finally:
        os.umask(before)
    for path in (store._root / "inner").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


async def test_an_id_is_written_once_and_is_never_a_path(store: FolderStore) -> None:
    id = new_id()
    async with store.writing(id):
        with pytest.raises(FileExistsError):
            async with store.writing(id):
                raise AssertionError("two writers of one recording")
    with pytest.raises(ValueError, match="UUID"):
        await store.open("../../etc/passwd")


class Gated(FolderStore):
    """A disk that stands still until it is told to go on, and remembers what is done to it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.finished = 0

    def write_out(self, file: int, data: bytes) -> None:
        self.reached.set()
        assert self.go_on.wait(30)
        super().write_out(file, data)
        self.finished += 1


async def test_a_cancelled_writer_ends_only_when_its_thread_has(tmp_path: Path) -> None:
    store = Gated(tmp_path)

    async def write() -> None:
        async with store.writing(new_id()) as writer:
            await writer.write(b"x" * HOP_BYTES)

    task = asyncio.create_task(write())
    await asyncio.to_thread(store.reached.wait, 30)
    for _ in range(3):  # asking again changes nothing
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not task.done()
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.finished == 1
    assert files(store) == []


async def test_a_writer_cancelled_at_any_step_leaves_a_whole_recording_or_none(store: FolderStore) -> None:
    content = os.urandom(2 * HOP_BYTES)
    outcomes = set()
    for steps in range(60):
        id = new_id()

        async def write(id: str = id) -> None:
            async with store.writing(id) as writer:
                for half in (content[:HOP_BYTES], content[HOP_BYTES:]):
                    await writer.write(half)
                await writer.commit()

        task = asyncio.create_task(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        outcomes.add(task.cancelled())
        assert {path.name for path in files(store)} <= (set() if task.cancelled() else {id})
        await store.delete(id)
    assert True in outcomes


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    class Full(FolderStore):
        def write_out(self, file: int, data: bytes) -> None:
            super().write_out(file, data[:10])
            raise OSError(number, os.strerror(number))

    store = Full(tmp_path)
    with pytest.raises(StorageFull, match="disk is full"):
        await put(store, b"x" * HOP_BYTES)
    assert files(store) == []


async def test_other_disk_errors_are_not_taken_for_a_full_one(tmp_path: Path) -> None:
    class Broken(FolderStore):
        def write_out(self, file: int, data: bytes) -> None:
            raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        await put(Broken(tmp_path), b"x")


async def test_deleting_twice_is_as_good_as_once_and_readers_finish(store: FolderStore) -> None:
    content = os.urandom(4 * PIECE_BYTES)
    id = await put(store, content)
    pieces = (await store.open(id)).pieces()
    first = await anext(pieces)
    await store.delete(id)
    await store.delete(id)
    assert first + b"".join([piece async for piece in pieces]) == content
    with pytest.raises(NotFound):
        await store.size(id)


async def test_a_reader_that_stops_early_closes_its_file(store: FolderStore) -> None:
    id = await put(store, os.urandom(4 * PIECE_BYTES))
    before = len(os.listdir("/proc/self/fd"))
    pieces = (await store.open(id)).pieces()
    await anext(pieces)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    await pieces.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_check_writes_and_leaves_nothing(store: FolderStore) -> None:
    await store.check()
    assert files(store) == []
    store._incoming.rmdir()
    with pytest.raises(OSError, match="No such file"):
        await store.check()


async def test_the_rest_of_an_earlier_server_is_cleared(store: FolderStore) -> None:
    id = await put(store, b"whole")
    (store._incoming / new_id()).write_bytes(b"half")
    await store.clear_incoming()
    assert [path.name for path in files(store)] == [id]


async def test_ids_are_listed_once_they_are_old_enough(store: FolderStore) -> None:
    ids = {await put(store, b"x") for _ in range(5)}
    old = min(ids)
    os.utime(store._final(old), (1, 1))
    (store._final(old).parent / "notes.txt").write_text("not ours")

    async def listed(before: float) -> set[str]:
        return {id async for folder in store.ids(written_before=before) for id in folder}

    assert await listed(time.time() + 60) == ids
    assert await listed(1000) == {old}


async def test_free_bytes_are_those_of_the_disk(store: FolderStore) -> None:
    disk = os.statvfs(store._root)
    assert 0 < await store.free_bytes() <= disk.f_blocks * disk.f_frsize


async def test_what_comes_slowly_does_not_wait_in_memory(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectw_server.storage.folder.HOP_SECONDS", 0.0)
    async with store.writing(new_id()) as writer:
        for count in (1, 2):
            await writer.write(b"x" * 1000)
            (partial,) = files(store)
            assert partial.stat().st_size == count * 1000
