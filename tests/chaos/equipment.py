"""What some faults need of the machine: a clock that can jump, a disk that can be full or slow."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CLOCK_VARIABLE: Final = "CHAOS_FAKETIME"
"""Names the library in the environment where it lies in none of the usual places."""

CLOCK_PLACES: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)

DISK_BYTES: Final = 24 * 1024 * 1024


class Missing(Exception):
    """This machine lacks what a fault needs; the message says what."""


class FalseClock:
    """The time of day that the servers see, set by a file that libfaketime reads; intervals stay true."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment = {
            "LD_PRELOAD": str(clock_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Let the clock be so many seconds away from the true time."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)


def clock_library() -> Path:
    """Return libfaketime. Raises Missing."""
    for place in (os.environ.get(CLOCK_VARIABLE, ""), *CLOCK_PLACES):
        if place and Path(place).is_file():
            return Path(place)
    raise Missing(
        f"libfaketime is not installed (Debian: libfaketime; or {CLOCK_VARIABLE} names the library)"
    )


class SmallDisk:
    """A file system of 24 MB that can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as file:
            piece = bytes(256 * 1024)
            while piece:
                try:
                    file.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small file system at ``folder``, which is made. Raises Missing without the right to mount."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Missing("there is no mount command") from None
    if done.returncode:
        raise Missing(f"no small file system can be mounted: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class SlowDisk:
    """Writing and syncing of recordings that takes its time in servers started with ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._flag = folder / "slow-disk"
        self.environment = {"CHAOS_SLOW_DISK": str(self._flag)}

    def slow(self, seconds: float) -> None:
        """Let each write and each sync take so long."""
        self._flag.write_text(f"{seconds}")

    def mend(self) -> None:
        """Let the disk be as quick as it is."""
        self._flag.unlink(missing_ok=True)
