"""Recordings on their way out: ranges, conditions and digests (RFC 9110, 13 and 14; RFC 9530)."""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import NamedTuple, Protocol
from urllib.parse import quote

from quart import Response, request
from quart.wrappers.response import ResponseBody

from projectw_server.api.problems import problem
from projectw_server.api.recall import MayGoOn, dropping, watch
from projectw_shared.errors import RangeNotSatisfiable

RECORDING = ("audio/*", "video/*", "application/octet-stream")
"""What a recording is sent as: what it looked like when it came in."""

CONDITIONS = ("Range", "If-Range", "If-None-Match")
"""The headers of a request that say what of a recording is wanted."""

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


class Recording(Protocol):
    """A complete file that can be read from anywhere; it holds nothing open until then."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def pieces(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yield ``length`` bytes from ``offset`` on, in bounded pieces."""


class Span(NamedTuple):
    """A part of a file: ``length`` bytes from ``offset`` on."""

    offset: int
    length: int


async def send_recording(
    recording: Recording, *, file_name: str, media_type: str, sha256: str, may_go_on: MayGoOn
) -> Response:
    """Answer the present GET or HEAD with ``recording`` or with the range of it that is asked for.

    ``sha256`` is that of the whole, in hexadecimal. The answer is broken off when ``may_go_on`` says so.
    """
    etag = f'"{sha256}"'
    if _matches(request.headers.get("If-None-Match"), etag):
        unchanged = Response(status=304)
        del unchanged.headers["Content-Type"]
        return _with_headers(unchanged, etag, sha256)
    try:
        span = _wanted(recording.size, etag)
    except RangeNotSatisfiable as error:
        refusal = problem(error)
        refusal.headers["Content-Range"] = f"bytes */{recording.size}"
        return refusal
    whole = span is None
    span = span or Span(0, recording.size)
    # uvicorn drops the body of an answer to HEAD, but only after the whole file was read for it.
    body = b"" if request.method == "HEAD" else _FileBody(recording, span, may_go_on)
    response = Response(body, status=200 if whole else 206, content_type=media_type)
    response.timeout = None  # Quart would cut a slow download after a minute
    response.content_length = span.length
    if not whole:
        last = span.offset + span.length - 1
        response.headers["Content-Range"] = f"bytes {span.offset}-{last}/{recording.size}"
    response.headers["Content-Disposition"] = disposition(file_name)
    return _with_headers(response, etag, sha256)


def disposition(file_name: str) -> str:
    """Return a Content-Disposition that saves under ``file_name`` (RFC 6266, with RFC 8187 beyond ASCII)."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", file_name)
    if plain == file_name:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='', errors='replace')}"


def parse_range(header: str, size: int) -> Span | None:
    """Read a ``Range`` of one part; None for what is malformed or has several parts, which is ignored.

    Raises ``RangeNotSatisfiable`` for a range outside of ``size`` bytes.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first, last = found.groups()
    if first == "":
        length = min(int(last), size)
        span = Span(size - length, length)
    else:
        if last != "" and int(last) < int(first):
            return None
        end = size if last == "" else min(int(last) + 1, size)
        span = Span(int(first), end - int(first))
    if span.length <= 0:
        raise RangeNotSatisfiable(f"The recording has {size} bytes; ask for a range within them")
    return span


def _wanted(size: int, etag: str) -> Span | None:
    header = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    if header is None or (condition is not None and condition.strip() != etag):
        return None
    return parse_range(header, size)


def _matches(condition: str | None, etag: str) -> bool:
    """Compare weakly, as If-None-Match does (RFC 9110, 13.1.2)."""
    if condition is None:
        return False
    listed = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return etag in listed or listed == ["*"]


def _with_headers(response: Response, etag: str, sha256: str) -> Response:
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    response.headers["ETag"] = etag
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


class _FileBody(ResponseBody):
    """Part of a file as a body: closed with the answer, also when the client goes away in the middle."""

    def __init__(self, recording: Recording, span: Span, may_go_on: MayGoOn) -> None:
        self._pieces = recording.pieces(span.offset, span.length)
        self._may_go_on = may_go_on
        self._drop = dropping()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncIterator[bytes]:
        if self._drop is not None:
            self._watching = asyncio.create_task(watch(self._may_go_on, self._drop))
        return self._pieces

    async def __aexit__(self, *exc: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self._pieces.aclose()
