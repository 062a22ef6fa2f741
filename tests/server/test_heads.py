"""Heads of requests that are refused at the connection: too long ones, and those that two readers read differently."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from projectw_server.api import heads
from projectw_server.api.headers import HEADERS
from projectw_server.db import Database
from projectw_server.settings import ServerSettings

from .live import Live, serving

HOST = b"Host: localhost\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\n" + HOST
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    async with serving(settings, database) as live:
        yield live


async def send(port: int, request: bytes) -> bytes:
    """Send ``request`` and return what is answered until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


REFUSED = {
    "lengths and an encoding": (
        400,
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "an encoding and lengths": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    "two lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "a length with a sign": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "another encoding": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "an encoding twice": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "an encoding that is not the last": (
        400,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    "an encoding in HTTP/1.0": (
        400,
        b"POST /api/auth/login HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a folded header": (400, POST + b"X: a\r\n b\r\n\r\n"),
    "a blank before the colon": (400, POST + b"Content-Length : 3\r\n\r\nabc"),
    "no carriage returns": (400, b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
    "a version that is none of ours": (400, b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n"),
    "a version without headers": (400, b"GET /healthz\r\n\r\n"),
    "no host": (400, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"),
    "two hosts": (400, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + HOST + b"\r\n"),
    "a tunnel": (400, b"CONNECT evil.example:25 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a tunnel to a path": (400, b"CONNECT /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    "another protocol and a length": (400, POST + UPGRADE + b"Content-Length: 3\r\n\r\nabc"),
    "another protocol and an encoding": (
        400,
        POST + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    "another scheme": (400, b"GET ftp://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a name and a password": (400, b"GET http://a:b@localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an address for someone else": (
        421,
        b"GET http://evil.example/healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n",
    ),
    "another expectation": (417, POST + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\n"),
    "too many headers": (431, POST + b"X: y\r\n" * (heads.MAX_HEADERS + 1) + b"\r\n"),
    "too long an address": (
        414,
        b"GET /" + b"a" * heads.MAX_TARGET_BYTES + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    ),
    "much that nobody reads": (
        413,
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 9999999999\r\n\r\n",
    ),
    "a body without end that nobody reads": (
        413,
        b"GET /api/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("status", "request_"), REFUSED.values(), ids=REFUSED)
async def test_it_is_refused_with_a_problem_and_the_headers_of_every_answer(
    live: Live, status: int, request_: bytes
) -> None:
    answer = await send(live.port, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert b"content-type: application/problem+json" in lines
    assert {b"%b: %b" % (name, value.lower()) for name, value in HEADERS} <= lines
    assert not any(line.startswith(b"server:") for line in lines)
    # One answer: what stands behind a refused head is no second request.
    assert re.search(rb"HTTP/1\.1 \d", body) is None


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /healthz HTTP/1.0\r\n\r\n", id="HTTP/1.0, which has no host"),
        pytest.param(
            b"GET http://localhost/healthz HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
            id="an address in full, which stands above the header",
        ),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n" + HOST + b"\r\nabc",
            id="a small body that nobody reads",
        ),
    ],
)
async def test_what_is_unusual_and_right_is_answered(live: Live, request_: bytes) -> None:
    assert (await send(live.port, request_)).startswith(b"HTTP/1.1 200 ")


async def test_who_waits_to_be_asked_for_the_body_is_asked(live: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    body = b'{"refresh_token": "x"}'
    writer.write(
        b"POST /api/auth/refresh HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\n"
        + HOST
        + b"Content-Length: %d\r\n\r\n" % len(body)
    )
    assert await asyncio.wait_for(reader.readline(), 20) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(body)
    assert b"HTTP/1.1 401 " in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_nothing_after_a_refused_head_is_carried_out(live: Live) -> None:
    smuggled = b"GET /api/about HTTP/1.1\r\n" + HOST + b"\r\n"
    refused = POST + b"Expect: a miracle\r\nContent-Length: 0\r\n\r\n"
    assert (await send(live.port, refused + smuggled)).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"x"])
@pytest.mark.parametrize("comes", ["at once", "later"])
async def test_after_a_request_for_another_protocol_nothing_is_taken_for_the_next_one(
    live: Live, protocol: bytes, comes: str
) -> None:
    first = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    next_ = b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(first + (next_ if comes == "at once" else b""))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    writer.write(next_)
    rest = b""
    with suppress(ConnectionResetError):
        rest = await asyncio.wait_for(reader.read(), 20)
    assert b"HTTP/1.1" not in rest
    writer.close()


async def test_a_body_behind_a_request_for_another_protocol_is_no_request(live: Live) -> None:
    inner = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(POST + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(inner))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.write(inner)
    with suppress(ConnectionResetError):
        answer += await asyncio.wait_for(reader.read(), 20)
    assert answer.count(b"HTTP/1.1") == 1
    writer.close()
