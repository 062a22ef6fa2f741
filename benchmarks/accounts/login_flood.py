"""Floods a server with wrong passwords: ``python -m benchmarks.accounts.login_flood URL CONNECTIONS SECONDS ACCOUNTS``.

Bare sockets, because a client that computes floods nobody.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import uvloop

from projectw_shared import routes


async def flood(url: str, connections: int, seconds: float, accounts: int) -> Counter[str]:
    """Return how many answers came with each status."""
    parts = urlsplit(url)
    answers: Counter[str] = Counter()
    until = time.monotonic() + seconds
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(
            *(
                _send(parts.hostname or "", parts.port or 80, n, accounts, until, answers)
                for n in range(connections)
            )
        )
    return answers


async def _send(
    host: str, port: int, number: int, accounts: int, until: float, answers: Counter[str]
) -> None:
    tries = 0
    while time.monotonic() < until:
        tries += 1
        # Another address for every connection and some tries, out of 16 million that are all this machine.
        place = f"127.{10 + tries % 200}.{number // 250}.{number % 250 + 1}"
        with suppress(ConnectionError, asyncio.IncompleteReadError, OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=(place, 0))
            try:
                for _ in range(5):
                    tries += 1
                    email = f"person-{(number * 7919 + tries) % (2 * accounts)}@example.org"
                    body = json.dumps({"email": email, "password": "a wrong password"})
                    writer.write(
                        f"POST {routes.LOGIN} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
                    )
                    with suppress(TimeoutError):
                        async with asyncio.timeout(max(0.0, until - time.monotonic())):
                            answers[await _answer(reader)] += 1
            finally:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    start = head.index(b"content-length:") + 15
    await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
    return head[9:12].decode()


if __name__ == "__main__":
    found = uvloop.run(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
    refused = sum(count for status, count in found.items() if status in ("429", "503"))
    print(json.dumps({**found, "refused": refused}))
