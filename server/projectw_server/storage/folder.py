"""Recordings as files in a folder.

::

    root/incoming/<id>        what is just being received
    root/blobs/<xx>/<id>      what is complete; xx are the last two characters of the id

The last two characters, because the first ones of a UUIDv7 are its time: all files of some decades would
lie in one folder. A file is complete before it has its final name, and on the disk before anyone is told.
"""

import errno
import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TypeVar

from projectw_server.storage.files import sync_folder
from projectw_server.storage.threads import settled
from projectw_shared.errors import NotFound, StorageFull
from projectw_shared.ids import is_id, new_id

T = TypeVar("T")

HOP_BYTES = 1024 * 1024
"""How much is gathered for one trip to a thread."""

HOP_SECONDS = 1.0
"""How long it is gathered: thousands of recordings that come slowly would else each keep so much in memory."""

PIECE_BYTES = 256 * 1024
"""How much is read at a time: what one slow download holds in memory."""

THREADS = 8
"""Threads of the storage's own, so that a slow disk holds up nothing but the storage."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FolderStore:
    """The folder of one server's recordings. Only the server's own account can read it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._blobs = root / "blobs"
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        for folder in (root, self._incoming, self._blobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def writing(self, id: str) -> AsyncIterator["Writer"]:
        """Receive the recording ``id``; without ``commit``, or after any error, nothing of it is left."""
        writer = Writer(self, self._partial(id), self._final(id))
        kept = False
        try:
            await self.run(writer.open)
            yield writer
            kept = writer.committed
        finally:
            if not kept:
                await self.run(writer.abandon)

    async def open(self, id: str) -> "StoredFile":
        """Return the recording ``id``, to be read; ``NotFound`` when it is not there."""
        return StoredFile(self, self._final(id), await self.size(id))

    async def size(self, id: str) -> int:
        """Return the length of the recording ``id`` in bytes."""
        try:
            return (await self.run(self._final(id).stat)).st_size
        except FileNotFoundError as error:
            raise NotFound("This recording is no longer here") from error

    async def delete(self, id: str) -> None:
        """Remove the recording ``id``; one that is not there is as good as removed."""
        await self.run(_remove, self._final(id))

    async def free_bytes(self) -> int:
        """Return how much room the disk has for this account."""
        disk = await self.run(os.statvfs, self._root)
        return disk.f_bavail * disk.f_frsize

    async def ids(self, *, written_before: float) -> AsyncIterator[list[str]]:
        """Yield the ids of the recordings last written before that time (seconds), a folder at a time."""
        for folder in await self.run(_children, self._blobs):
            yield await self.run(_old_ids, folder, written_before)

    async def check(self) -> None:
        """Write and remove a small file; an ``OSError`` or ``StorageFull`` says what is wrong."""
        await self.run(_probe, self._incoming / f"probe-{new_id()}")

    async def clear_incoming(self, *, written_before: float = inf) -> None:
        """Remove what servers that ended in mid-upload left: what was last written before that time (seconds).

        By default all of it, to be called before anything is received, where no other server uses the folder.
        """
        for path in await self.run(_children, self._incoming):
            await self.run(_remove_old, path, written_before)

    async def incoming(self) -> tuple[int, float | None]:
        """Return how many uploads lie half received, and when the one that rests longest was written to (seconds)."""
        times = [time for path in await self.run(_children, self._incoming) if (time := _written(path))]
        return len(times), min(times, default=None)

    def write_out(self, file: int, data: bytes) -> None:
        """Write all of ``data`` to the open ``file``: the one place where a recording reaches the disk."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` in one of the storage's threads; a full disk becomes ``StorageFull``."""
        try:
            return await settled(self._threads, work, *arguments)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(
                    "The server's disk is full; try again when its operator has made room"
                ) from error
            raise

    def _partial(self, id: str) -> Path:
        return self._incoming / _checked(id)

    def _final(self, id: str) -> Path:
        return self._blobs / _checked(id)[-2:] / id


class Writer:
    """A recording on its way in. Its methods without ``async`` block, and run in the storage's threads."""

    def __init__(self, store: FolderStore, partial: Path, final: Path) -> None:
        self._store = store
        self._partial = partial
        self._final = final
        self._file = -1
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._flushed = time.monotonic()
        self._hash = hashlib.sha256()
        self.committed = False

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``; returns when no more than ``HOP_BYTES`` wait for the disk, and none for long."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes >= HOP_BYTES or time.monotonic() - self._flushed > HOP_SECONDS:
            await self._store.run(self._flush)
            self._flushed = time.monotonic()

    async def commit(self) -> str:
        """Make the recording complete and durable, and return its SHA-256 in hexadecimal."""
        await self._store.run(self._finish)
        self.committed = True
        return self._hash.hexdigest()

    def open(self) -> None:
        self._file = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def abandon(self) -> None:
        self._close()
        _remove(self._partial)
        _remove(self._final)

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for chunk in waiting:
            self._hash.update(chunk)
            self._store.write_out(self._file, chunk)

    def _finish(self) -> None:
        self._flush()
        os.fsync(self._file)
        self._close()
        folder = self._final.parent
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        self._partial.rename(self._final)
        sync_folder(folder)

    def _close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


@dataclass(frozen=True)
class StoredFile:
    """A complete recording. It holds nothing open until it is read."""

    store: FolderStore
    path: Path
    size: int

    async def pieces(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield ``length`` bytes from ``offset`` on (by default the rest), at most ``PIECE_BYTES`` at a time.

        A file deleted in the meantime is read to its end. Close the iterator to close the file early.
        """
        end = self.size if length is None else min(self.size, offset + length)
        reading = _Reading(self.path)
        try:
            await self.store.run(reading.open)
            while offset < end:
                piece = await self.store.run(reading.read, min(PIECE_BYTES, end - offset), offset)
                if not piece:
                    return
                offset += len(piece)
                yield piece
        finally:
            reading.close()


class _Reading:
    """A file that is open for reading; an object, so that a cancelled opening does not lose it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, length: int, offset: int) -> bytes:
        return os.pread(self._file, length, offset)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def _checked(id: str) -> str:
    if not is_id(id):
        raise ValueError("a recording's name is a UUID")
    return id


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _old_ids(folder: Path, written_before: float) -> list[str]:
    with os.scandir(folder) as entries:
        return [each.name for each in entries if is_id(each.name) and _is_older(each, written_before)]


def _is_older(entry: os.DirEntry[str], time: float) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_mtime < time
    except FileNotFoundError:  # deleted while the folder was being listed
        return False


def _probe(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"written to see whether writing works\n")
    finally:
        os.close(file)
        path.unlink()


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # complete by now, or given up
        return None


def _remove_old(path: Path, written_before: float) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_mtime < written_before:
            _remove(path)
