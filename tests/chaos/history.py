"""What was asked and what was answered, in the order in which it happened: the evidence of a run.

Each call leaves two entries: one before its request is passed on, one when its answer has come from the
server, whether or not that answer then reaches whoever asked. As JSON lines they outlive a killed run.
"""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the file. ``status`` is None in the entry of a request, a number in that of an answer."""

    at: float
    call: int
    who: str = ""
    method: str = ""
    path: str = ""
    key: str | None = None
    status: int | None = None
    body: Any = None


@dataclass(frozen=True)
class Call:
    """A request and its answer. ``asked`` and ``answered`` are places in the history.

    ``who`` is the id of a person or the token's name of a runner; ``key`` is the Idempotency-Key; ``path`` bears the
    query. ``answered`` and ``status`` are None when no answer came.
    """

    asked: int
    who: str
    method: str
    path: str
    body: Any = None
    key: str | None = None
    answered: int | None = None
    status: int | None = None
    reply: Any = None

    @property
    def route(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    @property
    def was_taken(self) -> bool:
        """The server said that it did it."""
        return self.status is not None and self.status < 300

    @property
    def may_have_been_taken(self) -> bool:
        """The server did it, or nobody knows."""
        return self.status is None or self.status < 300 or self.status >= 500

    def is_before(self, other: "Call") -> bool:
        """Tell whether this was over before ``other`` was asked."""
        return self.answered is not None and self.answered < other.asked


class History:
    """The calls of one run, also written to ``file`` as they happen."""

    def __init__(self, file: Path | None = None) -> None:
        self._calls: dict[int, Call] = {}
        self._places = itertools.count()
        self._file = None if file is None else file.open("ab", buffering=0)

    def ask(self, who: str, method: str, path: str, body: Any = None, key: str | None = None) -> int:
        """Note a request before it is passed on; the number returned is its answer's too."""
        place = next(self._places)
        self._calls[place] = Call(place, who, method, path, body, key)
        self._write(Entry(time.monotonic(), place, who, method, path, key, None, body))
        return place

    def answer(self, call: int, status: int, body: Any = None) -> None:
        """Note what the server answered."""
        place = next(self._places)
        self._calls[call] = replace(self._calls[call], answered=place, status=status, reply=body)
        self._write(Entry(time.monotonic(), call, status=status, body=body))

    def calls(self) -> list[Call]:
        """Return all calls in the order in which they were asked."""
        return list(self._calls.values())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, entry: Entry) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry) + b"\n")


def read(lines: Iterable[bytes]) -> list[Call]:
    """Return the calls that a file holds; a line that a killed run has left unfinished is the last one."""
    calls: dict[int, Call] = {}
    for place, line in enumerate(lines):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            break
        if entry.status is None:
            calls[entry.call] = Call(place, entry.who, entry.method, entry.path, entry.body, entry.key)
        else:
            calls[entry.call] = replace(
                calls[entry.call], answered=place, status=entry.status, reply=entry.body
            )
    return list(calls.values())
