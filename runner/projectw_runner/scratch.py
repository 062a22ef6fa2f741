"""Private folders for recordings, which go with the job, and with the next start at the latest."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog


class Scratch:
    """Folders for one job each, inside a folder that several runners may share.

    Each is locked while it is used, and the kernel unlocks it however its process ends: what can be locked
    was left by a process that is gone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # it belongs to another runner's user, who has seen to it
            root.chmod(0o700)

    def wipe(self) -> int:
        """Remove what processes that are gone have left, and return how many things that were."""
        return sum(_remove_if_unused(left) for left in self._root.iterdir())

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Return a fresh folder that this user alone can enter; it is removed with all that is in it.

        With it goes what a neighbour that was killed meanwhile has left.
        """
        path, lock = self._make()
        try:
            yield path
        finally:
            _remove(path)
            os.close(lock)
            self.wipe()

    def _make(self) -> tuple[Path, int]:
        """Return a locked folder and its lock."""
        while True:
            path = Path(tempfile.mkdtemp(prefix="job-", dir=self._root))
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)  # another runner's start has taken it for left behind, before it was locked


def _remove_if_unused(left: Path) -> bool:
    try:
        lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except NotADirectoryError:  # nothing of ours: a link or a file, which nobody can be working with
        left.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return _remove(left)
    finally:
        os.close(lock)


def _remove(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        structlog.get_logger().error("a job's folder could not be removed", folder=str(folder))
        return False
    return True
