"""Clients that never come to the point: their connections end, and cost nothing meanwhile."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from projectw_server.api import connections
from projectw_server.api.access import LONGEST_PATH
from projectw_server.api.connections import BoundedProtocol
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared.events import ServerSentEvent

from .live import Live, serving, until

PIECE = b"a" * 16_384
MANY = 4 * connections.MAX_HEAD_BYTES // len(PIECE) + 32
"""Pieces that are together far more than a head may be, one read of the socket included."""

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    async with serving(settings, database) as live:
        yield live


@pytest.fixture
async def hasty(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    """A server with little patience."""
    async with serving(replace(settings, upload_idle_seconds=0.3), database) as live:
        yield live


async def exchange(port: int, start: bytes, piece: bytes = b"", pieces: int = 0) -> bytes:
    """Send ``start`` and then ``piece`` again and again; return what was answered until the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(start)
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b"cut off"
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"GET /", PIECE, id="an address without end"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nX: ", PIECE, id="a header without end"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n" * 3000, id="headers without end"),
        pytest.param(
            LOGIN + b"Transfer-Encoding: chunked\r\n\r\n1;x=", PIECE, id="a chunk extension without end"
        ),
        pytest.param(
            LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", PIECE, id="a trailer without end"
        ),
    ],
)
async def test_what_has_no_end_is_cut_off(live: Live, start: bytes, piece: bytes) -> None:
    answer = await exchange(live.port, start, piece, MANY)
    assert answer == b"" or answer == b"cut off" or answer.startswith((b"HTTP/1.1 414 ", b"HTTP/1.1 431 "))


async def test_a_long_head_is_still_read(live: Live) -> None:
    head = REQUEST[:-2] + b"X: " + b"a" * 30_000 + b"\r\nConnection: close\r\n\r\n"
    assert (await exchange(live.port, head)).startswith(b"HTTP/1.1 200 ")


async def test_a_large_body_in_many_pieces_is_no_head(live: Live) -> None:
    runner = await live.services.runner_tokens.create("gpu")
    body = b" " * (MANY * len(PIECE))
    head = (
        b"POST /api/runners/heartbeat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (runner.token.encode(), len(body))
    )
    answer = await exchange(live.port, head, body[: len(PIECE)], MANY)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The body is no JSON" in answer


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="a client that says nothing"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost:", id="half a head"),
        pytest.param(REQUEST + b"GET /", id="half a head after a request"),
        pytest.param(
            b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\nx",
            id="a body that was answered before it came",
        ),
    ],
)
async def test_a_connection_without_a_request_ends(
    live: Live, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    await exchange(live.port, start)  # returns when the server closes


async def test_a_json_body_that_stands_still_is_given_up_and_its_connection_with_it(hasty: Live) -> None:
    answer = await exchange(hasty.port, LOGIN + b"Content-Length: 20\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Nothing arrived for" in answer


async def test_a_request_that_is_being_answered_outlasts_the_deadline(
    hasty: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    answer = await exchange(hasty.port, LOGIN + b"Content-Length: 20\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_reads_no_answer_is_cut_off(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.2)
    person = await live.services.users.add("ada@example.org", "correct horse battery staple")
    tokens = await live.services.sessions.login("ada@example.org", "correct horse battery staple")
    with socket.create_connection(("127.0.0.1", live.port)) as client:
        client.sendall(
            b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
            % tokens.access_token.encode()
        )
        await until(lambda: live.services.bus.is_watched(person.id))
        for number in range(1, 20):
            live.services.bus.publish(person.id, ServerSentEvent("job", b"x" * 1_000_000, number))
        await until(lambda: not live.services.bus.is_watched(person.id))


async def test_who_reads_an_answer_byte_by_byte_is_cut_off(
    settings: ServerSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.4)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.1)
    async with serving(replace(settings, min_bytes_per_second=10**9), database) as live:
        person = await live.services.users.add("ada@example.org", "correct horse battery staple")
        tokens = await live.services.sessions.login("ada@example.org", "correct horse battery staple")
        with socket.create_connection(("127.0.0.1", live.port)) as client:
            client.setblocking(False)
            client.sendall(
                b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
                % tokens.access_token.encode()
            )
            await until(lambda: live.services.bus.is_watched(person.id))
            for number in range(1, 30):
                live.services.bus.publish(person.id, ServerSentEvent("job", b"x" * 1_000_000, number))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                with suppress(ConnectionError):
                    while await loop.sock_recv(client, 1):
                        if not live.services.bus.is_watched(person.id):
                            break
                        await asyncio.sleep(0.01)
            await until(lambda: not live.services.bus.is_watched(person.id))


async def test_a_long_path_does_not_fill_the_log(live: Live) -> None:
    with capture_logs() as logs:
        await exchange(
            live.port, REQUEST[:-2].replace(b"/healthz", b"/" + b"a" * 30_000) + b"Connection: close\r\n\r\n"
        )
    (line,) = [each for each in logs if each["event"] == "request"]
    assert len(line["path"]) <= LONGEST_PATH


async def test_after_a_client_has_broken_off_nothing_is_to_be_done(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[BoundedProtocol] = []
    end = BoundedProtocol.connection_lost

    def noting(protocol: BoundedProtocol, exc: Exception | None) -> None:
        end(protocol, exc)
        lost.append(protocol)

    monkeypatch.setattr(BoundedProtocol, "connection_lost", noting)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    # With a reset, as of a program that was killed.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: lost)
    (protocol,) = lost
    timers = (protocol.timeout_keep_alive_task, protocol._deadline, protocol._looking, protocol._leaving)
    assert timers == (None, None, None, None)
