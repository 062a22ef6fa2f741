"""What is asked of the file system in more than one place."""

import os
from pathlib import Path

Stamp = tuple[int, int, int]


def sync_folder(folder: Path) -> None:
    """Make durable which files lie in ``folder``: what was made, renamed or removed there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(file: Path) -> Stamp | None:
    """Return what differs when ``file`` is another than it was, None when it cannot be looked at."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
