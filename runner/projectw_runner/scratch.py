"""Private folders for recordings, which go with the job, and with the next start at the latest."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Scratch:
    """Folders for one job each, inside a folder that several runners may share.

    Each is locked while it is used, and the kernel unlocks it however its process ends: what can be locked
    was left by a process that is gone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def wipe(self) -> int:
        """Remove what processes that are gone have left, and return how many folders that were."""
        return sum(_remove_if_unused(folder) for folder in self._root.iterdir() if folder.is_dir())

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Return a fresh folder that this user alone can enter; it is removed with all that is in it."""
        path = Path(tempfile.mkdtemp(prefix="job-", dir=self._root))
        lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _remove_if_unused(folder: Path) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
