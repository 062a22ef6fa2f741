"""The data directory: made for its owner alone, and used by one server at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


class HomeError(Exception):
    """The data directory cannot be used; the message says why and what would help."""


def prepare(home: Path) -> None:
    """Make the data directory unless it is there, for its owner alone, and see that it can be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise HomeError(f"{home} is no folder; set server.data_dir to one") from error
    except OSError as error:
        raise HomeError(
            f"The data directory {home} cannot be made: {error.strerror}; set server.data_dir to another"
        ) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise HomeError(
            f"The data directory {home} cannot be written by this user; change its owner, or set server.data_dir"
        )


@contextmanager
def sole_server(home: Path) -> Iterator[None]:
    """Keep a second server out of ``home``; the lock ends with the process, however that ends."""
    file = home / LOCK_FILE
    try:
        # Written to below: a link that somebody planted here must not lead that to another file.
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HomeError(f"{file} cannot be opened: {error.strerror}; remove it, it is made anew") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise HomeError(
                f"Another server (process {holder}) uses {home} already; stop it, or set server.data_dir to another"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
