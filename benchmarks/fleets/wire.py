"""The least that speaks HTTP/1.1 to the server: bytes made beforehand, one answer at a time, kept alive.

A whole HTTP client costs more processor time for a heartbeat than the server's parser does; a thousand of them would
measure themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

HEAD_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """What came back, read whole."""

    status: int
    body: bytes


class Refused(Exception):
    """An answer that is neither 200 nor 201; the message says of what, and what it said."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Broken(Exception):
    """The connection ended before the answer did, or could not be opened."""


def request_of(
    method: str,
    target: str,
    *,
    token: str = "",
    body: bytes = b"",
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a whole request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    if body:
        lines.append(f"Content-Type: {content_type}")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + HEAD_END + body


class Connection:
    """One connection to a port of the loopback, opened when it is first needed and again after it broke."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> Answer:
        """Send ``request`` and return its answer. Raises Broken; the connection is then opened anew next time."""
        try:
            reader, writer = await self._open()
            writer.write(request)
            status, headers = await _head(reader)
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Broken(f"{_first_line(request)}: {error!r}") from error
        except asyncio.CancelledError:
            # Its answer would be read as that of the next request.
            self.close()
            raise
        if headers.get(b"connection") == b"close":
            self.close()
        return Answer(status, body)

    async def expect(self, request: bytes) -> bytes:
        """Send ``request`` and return the body of its answer. Raises Refused and Broken."""
        answer = await self.send(request)
        if answer.status not in (200, 201):
            said = f"{_first_line(request)} answered {answer.status}: {answer.body[:300]!r}"
            raise Refused(said, answer.status)
        return answer.body

    async def chunks(self, request: bytes) -> AsyncIterator[bytes]:
        """Send ``request`` and yield the chunks of its answer until that ends. Raises Refused and Broken."""
        try:
            reader, writer = await self._open()
            writer.write(request)
            status, _ = await _head(reader)
            if status != 200:
                raise Refused(f"{_first_line(request)} answered {status}", status)
            while size := int(await reader.readuntil(b"\r\n"), 16):
                yield (await reader.readexactly(size + 2))[:-2]
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(f"{_first_line(request)}: {error!r}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Close it; the next request opens it again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        return self._streams


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = (await reader.readuntil(HEAD_END))[: -len(HEAD_END)].split(b"\r\n")
    headers = (line.partition(b":") for line in lines)
    return int(first.split(b" ", 2)[1]), {name.lower(): value.strip().lower() for name, _, value in headers}


def _first_line(request: bytes) -> str:
    return request.partition(b"\r\n")[0].decode(errors="replace").removesuffix(" HTTP/1.1")
