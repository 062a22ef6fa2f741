"""Bodies with back-pressure, on a real socket: a slow reader slows its client and keeps its memory."""

import asyncio
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from quart import Quart, request

from projectw_server.api.asgi import BUFFERED_BYTES, BoundedConnection, BoundedRequest

MIB = 1024 * 1024
SLACK = MIB
"""One read of the socket more than the bound."""


@asynccontextmanager
async def serving(app: Quart) -> AsyncIterator[int]:
    """Serve ``app`` on a free port of the loopback."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="none"))
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def bounded(app: Quart) -> Quart:
    app.request_class = BoundedRequest
    app.asgi_http_class = BoundedConnection
    app.config["MAX_CONTENT_LENGTH"] = None
    return app


def head(method: str, path: str, length: int) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer, which has a Content-Length."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), await reader.readexactly(int(headers["content-length"]))


async def test_a_fast_client_and_a_slow_reader_keep_the_memory_bounded_and_the_connection() -> None:
    app = bounded(Quart(__name__))
    chunks: list[int] = []

    @app.post("/slow")
    async def slow() -> str:
        async for chunk in request.body:
            chunks.append(len(chunk))
            await asyncio.to_thread(time.sleep, 0.005)  # a disk of 200 MB/s
        return str(sum(chunks))

    piece = os.urandom(MIB)
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        tracemalloc.start()
        try:
            for _ in range(2):
                chunks.clear()
                writer.write(head("POST", "/slow", 48 * MIB))
                for _ in range(48):
                    writer.write(piece)
                    await writer.drain()
                assert await answer(reader) == (200, str(48 * MIB).encode())
                assert max(chunks) <= BUFFERED_BYTES + SLACK
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 16 * MIB
        writer.close()
        await writer.wait_closed()


async def test_an_upload_refused_unread_is_answered_and_the_connection_goes_on() -> None:
    app = bounded(Quart(__name__))

    @app.post("/refuse")
    async def refuse() -> tuple[str, int]:
        return "no", 413

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(head("POST", "/refuse", 8 * MIB))
            for _ in range(8):
                writer.write(bytes(MIB))
                await writer.drain()
            assert await answer(reader) == (413, b"no")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_goes_away_in_mid_upload_ends_its_handler() -> None:
    app = bounded(Quart(__name__))
    reading, ended = asyncio.Event(), asyncio.Event()

    @app.post("/upload")
    async def upload() -> str:
        try:
            async for _chunk in request.body:
                reading.set()
            return "whole"
        finally:
            ended.set()

    async with serving(app) as port, asyncio.timeout(30):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("POST", "/upload", 100 * MIB) + bytes(3 * MIB))
        await writer.drain()
        await reading.wait()
        writer.transport.abort()
        await ended.wait()


async def test_a_large_body_that_nobody_reads_does_not_hide_that_the_client_has_gone() -> None:
    app = bounded(Quart(__name__))
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.get("/events")
    async def events() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    async with serving(app) as port, asyncio.timeout(30):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("GET", "/events", 3 * MIB) + bytes(3 * MIB))
        await begun.wait()
        await writer.drain()
        writer.transport.abort()
        await ended.wait()


async def test_short_and_empty_bodies_arrive_as_they_are() -> None:
    app = bounded(Quart(__name__))

    @app.post("/echo")
    async def echo() -> bytes:
        return b"".join([chunk async for chunk in request.body])

    client = app.test_client()
    for body in (b"", b"short"):
        response = await client.post("/echo", data=body)
        assert await response.get_data() == body
