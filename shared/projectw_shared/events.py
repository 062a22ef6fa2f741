"""Server-sent events: the names that we use, and the text form of the WHATWG HTML standard, 9.2."""

from collections.abc import AsyncIterable, AsyncIterator
from enum import StrEnum
from typing import NamedTuple


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


KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, so that proxies and clients see that the line is open."""


async def parse_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerSentEvent]:
    """Read events out of a byte stream whose chunks may break anywhere.

    Comments are passed over, as are fields that we do not use. A chunk that ends in the middle of an event
    waits for the next one; what is left when the stream ends is dropped, as the standard says.
    """
    name, identity = "", None
    data: list[bytes] = []
    async for line in _lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(name or "message", b"\n".join(data), identity)
            name, data, identity = "", [], None
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            data.append(value)
        elif field == b"id" and value.isdigit():
            identity = int(value)


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
