"""Floods a server with lists and submissions: ``python -m benchmarks.overload_flood URL CONNECTIONS SECONDS``.

Tokens come on standard input, one a line. Bare sockets, because a client that computes floods nobody.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import small_recording
from projectw_shared import routes

EVERY = 4
"""Of so many requests one is a submission."""


async def flood(url: str, tokens: list[str], connections: int, seconds: float) -> Counter[int]:
    """Return how many answers came with each status."""
    parts = urlsplit(url)
    answers: Counter[int] = Counter()
    async with asyncio.timeout(seconds + 30):
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(
                _send(parts.hostname or "", parts.port or 80, tokens[n % len(tokens)], n, until, answers)
                for n in range(connections)
            )
        )
    return answers


async def _send(host: str, port: int, token: str, number: int, until: float, answers: Counter[int]) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            while (left := until - time.monotonic()) > 0:
                number += 1
                writer.write(_submission(token) if number % EVERY == 0 else _list(token))
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        answers[await _answer(reader)] += 1
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    start = head.index(b"content-length:") + 15
    await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
    return int(head[9:12])


def _list(token: str) -> bytes:
    return f"GET {routes.JOBS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def _submission(token: str) -> bytes:
    recording = small_recording()
    head = (
        f"POST {routes.JOBS}?file_name=x.wav HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: audio/wav\r\nContent-Length: {len(recording)}\r\n\r\n"
    )
    return head.encode() + recording


if __name__ == "__main__":
    counted = uvloop.run(flood(sys.argv[1], sys.stdin.read().split(), int(sys.argv[2]), float(sys.argv[3])))
    refused = counted.pop(503, 0)
    print(json.dumps({"answered": counted.total(), "refused": refused}))
