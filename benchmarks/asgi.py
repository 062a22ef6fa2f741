"""Which ASGI server: the same app behind hypercorn, uvicorn and granian.

A streamed upload, 200 held heartbeats that are answered at once, one event to 200 streams, and plain requests,
each against fresh processes on a core of their own. Memory is the sum of each process's peak.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.load import separate_core
from benchmarks.processes import Measured, blocking_socket, free_port, head_of, send_body
from benchmarks.report import Report

GIB = 1024**3
WAITING = 200
CONNECTIONS = 16
NOTICE_SECONDS = 5.0

APP = "benchmarks.asgi_app:create_app"
PYTHON = [sys.executable, "-m"]

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "uvicorn (httptools, uvloop)": lambda port: [
        *PYTHON, "uvicorn", APP, "--factory", "--port", str(port), "--http", "httptools", "--loop", "uvloop",
        "--no-access-log",
    ],
    "uvicorn (h11, asyncio)": lambda port: [
        *PYTHON, "uvicorn", APP, "--factory", "--port", str(port), "--http", "h11", "--loop", "asyncio",
        "--no-access-log",
    ],
    "hypercorn (asyncio)": lambda port: [*PYTHON, "hypercorn", f"{APP}()", "--bind", f"127.0.0.1:{port}"],
    "hypercorn (uvloop)": lambda port: [
        *PYTHON, "hypercorn", f"{APP}()", "--bind", f"127.0.0.1:{port}", "--worker-class", "uvloop",
    ],
    "granian": lambda port: [
        *PYTHON, "granian", APP, "--factory", "--interface", "asgi", "--port", str(port), "--workers", "1",
        "--no-access-log",
    ],
}  # fmt: skip


@dataclass
class Line:
    """A caller's connection that is kept open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request and read an answer that says its length."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        found = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(found.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


def run(quick: bool) -> Report:
    """Measure every server; the whole run takes about three minutes."""
    report = Report(
        "ASGI servers behind the same app",
        [
            "server",
            "upload MB/s",
            "upload CPU s/GB",
            "peak MB",
            "held p50 ms",
            "held p99 ms",
            "event p50 ms",
            "event p99 ms",
            "plain requests/s",
            "plain CPU us",
            "gone ms",
        ],
        notes=[
            f"{WAITING} held heartbeats and {WAITING} event streams; times from the word to each arrival",
            f"gone: from {WAITING} clients dropping their held requests to the end of the last handler; – not within "
            f"{NOTICE_SECONDS:g} s",
            "medians over fresh processes in turn; MB and GB are powers of ten",
        ],
    )
    rounds = 2 if quick else 7
    found: dict[str, list[list[float | None]]] = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory(prefix="projectw-asgi-") as folder, separate_core() as core:
        # In turn, so that what else the machine does falls on all of them.
        for _ in range(rounds):
            for name, words in SERVERS.items():
                port = free_port()
                with Measured(words(port), core=core, log=Path(folder) / "server.log") as server:
                    server.wait_until_listening(port)
                    found[name].append(_measure(server, port, quick))
    for name, rows in found.items():
        report.add(name, *(_median(column) for column in zip(*rows, strict=True)))
    return report


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if len(known) == len(values) else None


def _measure(server: Measured, port: int, quick: bool) -> list[float | None]:
    rate, upload_cpu = _upload(server, port, GIB // 8 if quick else GIB // 2)
    held = uvloop.run(_spread(port, "held", _hold, 3 if quick else 10))
    events = uvloop.run(_spread(port, "watching", _watch, 3 if quick else 10))
    count = 2_000 if quick else 5_000
    before = server.cpu_seconds
    plain_seconds = uvloop.run(_plain(port, count))
    plain_cpu = server.cpu_seconds - before
    return [
        rate,
        upload_cpu,
        server.peak_bytes / 1e6,
        *held,
        *events,
        count / plain_seconds,
        plain_cpu / count * 1e6,
        uvloop.run(_until_noticed(port)),
    ]


def _upload(server: Measured, port: int, size: int) -> tuple[float, float]:
    """Return MB/s and CPU seconds per GB of one streamed upload."""
    before = server.cpu_seconds
    with blocking_socket(port) as connection:
        answer, seconds = send_body(
            connection, head_of("POST", "/upload", {"Content-Length": str(size)}), size
        )
    if not answer.endswith(str(size).encode()):
        raise RuntimeError(f"the upload was answered with {answer[:300]!r}")
    return size / seconds / 1e6, (server.cpu_seconds - before) / size * 1e9


async def _spread(
    port: int, kind: str, wait: Callable[[Line], Awaitable[None]], rounds: int
) -> tuple[float, float]:
    """Return the median and the 99th percentile, in ms, from the word to the arrival at each who waits."""
    lines = [await Line.open(port) for _ in range(WAITING)]
    teller = await Line.open(port)
    if wait is _watch:
        for line in lines:
            line.writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await line.reader.readuntil(b"event: hello\ndata: {}\n\n")
    delays: list[float] = []
    for _ in range(rounds):
        arrivals = [asyncio.create_task(_arrival(wait, line)) for line in lines]
        await _until(teller, kind, WAITING)
        told = time.perf_counter()
        await teller.ask("POST", "/tell")
        delays += [(moment - told) * 1000 for moment in await asyncio.gather(*arrivals)]
    for line in [*lines, teller]:
        line.close()
    delays.sort()
    return statistics.median(delays), delays[int(len(delays) * 0.99)]


async def _until_noticed(port: int) -> float | None:
    """Return how many ms pass until dropped clients are known to have gone, or None after some seconds."""
    lines = [await Line.open(port) for _ in range(WAITING)]
    teller = await Line.open(port)
    for line in lines:
        line.writer.write(b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    await _until(teller, "held", WAITING)
    dropped = time.perf_counter()
    for line in lines:
        line.writer.transport.abort()
    try:
        async with asyncio.timeout(NOTICE_SECONDS):
            await _until(teller, "held", 0)
    except TimeoutError:
        return None
    finally:
        teller.close()
    return (time.perf_counter() - dropped) * 1000


async def _until(teller: Line, kind: str, count: int) -> None:
    """Return when ``count`` callers wait."""
    while json.loads(await teller.ask("GET", "/waiting"))[kind] != count:
        await asyncio.sleep(0.005)


async def _arrival(wait: Callable[[Line], Awaitable[None]], line: Line) -> float:
    await wait(line)
    return time.perf_counter()


async def _hold(line: Line) -> None:
    await line.ask("POST", "/heartbeat", b'{"session": "x", "wait": 15}')


async def _watch(line: Line) -> None:
    await line.reader.readuntil(b"event: job\ndata: {}\n\n")


async def _plain(port: int, count: int) -> float:
    """Return the seconds that ``count`` requests take over a few connections."""
    lines = [await Line.open(port) for _ in range(CONNECTIONS)]

    async def ask(line: Line) -> None:
        for _ in range(count // CONNECTIONS):
            await line.ask("GET", "/plain")

    begun = time.perf_counter()
    await asyncio.gather(*(ask(line) for line in lines))
    seconds = time.perf_counter() - begun
    for line in lines:
        line.close()
    return seconds
