"""Server-sent events: the names that we use, and the text form of the WHATWG HTML standard, 9.2."""

from collections.abc import AsyncIterable, AsyncIterator
from enum import StrEnum
from typing import NamedTuple

from projectw_shared.errors import Unreachable


class EventName(StrEnum):
    """The kinds of event on the stream of a user."""

    HELLO = "hello"
    JOB = "job"
    SEGMENTS = "segments"
    DELETED = "deleted"
    RESET = "reset"


class ServerSentEvent(NamedTuple):
    """One event. ``id`` is a change number, for durable changes only; ``data`` is JSON on one line."""

    name: str
    data: bytes = b"{}"
    id: int | None = None

    def encode(self) -> bytes:
        """Return the event as it stands on the wire, its closing blank line included."""
        identity = b"" if self.id is None else b"id: %d\n" % self.id
        return b"event: %s\n%sdata: %s\n\n" % (self.name.encode(), identity, self.data)


MAX_EVENT_BYTES = 64 * 1024 * 1024
"""The longest event that is read; the segments of one heartbeat, which are at most 8 MiB, are the longest sent."""

MAX_ID_DIGITS = 19
"""Those of the largest change number."""

_ENDLESS = "the server sends an event without end; is the address right?"

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, so that proxies and clients see that the line is open."""


async def parse_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerSentEvent]:
    """Read events out of a byte stream whose chunks may break anywhere.

    Comments are passed over, as are fields that we do not use. A chunk that ends in the middle of an event
    waits for the next one; what is left when the stream ends is dropped, as the standard says. Raises
    ``Unreachable`` for an event that is longer than any of ours.
    """
    name, identity, size = "", None, 0
    data: list[bytes] = []
    async for line in _lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(name or "message", b"\n".join(data), identity)
            name, data, identity, size = "", [], None, 0
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            data.append(value)
            size += len(value)
            if size > MAX_EVENT_BYTES:
                raise Unreachable(_ENDLESS)
        elif field == b"id" and value.isdigit() and len(value) <= MAX_ID_DIGITS:
            identity = int(value)


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    begun: list[bytes] = []
    size = 0
    async for chunk in chunks:
        first, *lines = chunk.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > MAX_EVENT_BYTES:
            raise Unreachable(_ENDLESS)
        if lines:
            *whole, rest = lines
            for line in (b"".join(begun), *whole):
                yield line.removesuffix(b"\r")
            begun, size = [rest], len(rest)
