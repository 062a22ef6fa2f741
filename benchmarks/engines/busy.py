"""How busy the graphics card is, from nvidia-smi, several times a second."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean
from typing import IO, Final, Self

EVERY_MILLISECONDS: Final = 100
_DELAY_SECONDS: Final = 0.25
"""The driver's figure is a mean over the last sixth of a second or more: what comes sooner tells of others."""


@dataclass(frozen=True)
class Sample:
    """``share`` of the time in which something computed, 0 to 1, and the card's memory in use, in bytes."""

    at: float
    share: float | None
    used_bytes: float | None


class Watch:
    """Looks at one card until the end of ``with``; sees nothing where there is no nvidia-smi."""

    def __init__(self, device: str) -> None:
        self._card = card(device, os.environ.get("CUDA_VISIBLE_DEVICES"))
        self._samples: list[Sample] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        tool = shutil.which("nvidia-smi")
        if tool is not None:
            fields = "--query-gpu=utilization.gpu,memory.used"
            form = "--format=csv,noheader,nounits"
            # A terminal: into a pipe, programs write when their buffer is full and not when there is something new.
            here, there = os.openpty()
            self._process = subprocess.Popen(
                [tool, fields, form, "-i", self._card, "-lms", str(EVERY_MILLISECONDS)],
                stdout=there,
            )
            os.close(there)
            self._reader = threading.Thread(target=self._read, args=(os.fdopen(here),))
            self._reader.start()
        return self

    def share(self, start: float, end: float) -> float | None:
        """Return how busy the card was in this time, of ``time.monotonic``; None for a time too short to tell."""
        known = [each.share for each in self._since(start + _DELAY_SECONDS) if each.at <= end]
        shares = [share for share in known if share is not None]
        return fmean(shares) if shares else None

    def used_bytes(self) -> float | None:
        """Return the card's memory in use just now, by whomever; None where that is not known."""
        return self._samples[-1].used_bytes if self._samples else None

    def _since(self, start: float) -> Iterator[Sample]:
        return takewhile(lambda each: each.at >= start, reversed(self._samples))

    def _read(self, lines: IO[str]) -> None:
        with lines, suppress(OSError):  # the end of a terminal is an error
            for line in lines:
                self._samples.append(sample(time.monotonic(), line))

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._reader.join()


def sample(at: float, line: str) -> Sample:
    """Read a line such as ``37, 1024``; what the card does not tell is None."""
    share, _, memory = line.partition(",")
    per_cent, mebibytes = _number(share), _number(memory)
    return Sample(
        at,
        None if per_cent is None else per_cent / 100,
        None if mebibytes is None else mebibytes * 1024 * 1024,
    )


def card(device: str, visible: str | None) -> str:
    """Return nvidia-smi's name for the card that torch calls ``device``: ``cuda``, ``cuda:1 (NVIDIA H100)``."""
    index = int(device.partition(" ")[0].partition(":")[2] or 0)
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    return names[index] if index < len(names) else str(index)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
