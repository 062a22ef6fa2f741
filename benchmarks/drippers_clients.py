"""Drips: ``python -m benchmarks.drippers_clients URL CONNECTIONS SECONDS JOB CA_FILE``, the token on standard input.

Prints, by kind, after how many seconds each connection was closed, null where it was not.
"""

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from projectw_shared import routes

KINDS = ("head", "json body", "recording", "answer", "nothing")
TLS_KINDS = ("handshake", "half a handshake")

DROP_SECONDS = 1.0
LOOK_SECONDS = 0.25
ESTABLISHED = 1
SMALL_BUFFER = 4096

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dripper:
    """One connection and its way of not coming to the point."""

    def __init__(self, url: str, authorization: str, job: str, ca_file: Path) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._authorization = f"Host: localhost\r\nAuthorization: Bearer {authorization}\r\n"
        self._job = job

    async def drip(self, kind: str, limit: float) -> float | None:
        """Return after how many seconds the connection was closed, None when it was not within ``limit``."""
        sock = socket.socket()
        if kind == "answer":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.setblocking(False)
        began = time.monotonic()
        await asyncio.get_running_loop().sock_connect(sock, (self._host, self._port))
        ways: dict[str, Callable[[socket.socket], Awaitable[None]]] = {
            "head": self._head, "json body": self._json, "recording": self._recording, "answer": self._answer,
            "nothing": self._nothing, "handshake": self._handshake, "half a handshake": self._half,
        }  # fmt: skip
        dripping = asyncio.ensure_future(ways[kind](sock))
        try:
            while time.monotonic() - began < limit:
                if _state(sock) != ESTABLISHED:
                    return time.monotonic() - began
                await asyncio.sleep(LOOK_SECONDS)
            return None
        finally:
            dripping.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await dripping
            sock.close()

    async def _streams(self, sock: socket.socket) -> Streams:
        # A socket of its own: the one that is watched stays open whatever becomes of this one.
        name = {"server_hostname": "localhost"} if self._context else {}
        return await asyncio.open_connection(sock=sock.dup(), ssl=self._context, limit=1, **name)  # type: ignore[arg-type]

    async def _send(self, sock: socket.socket, start: str) -> None:
        _, writer = await self._streams(sock)
        writer.write(start.encode())
        while True:
            writer.write(b" " if start.endswith("\r\n\r\n") else b"x")
            await asyncio.sleep(DROP_SECONDS)

    async def _head(self, sock: socket.socket) -> None:
        await self._send(sock, f"GET {routes.ABOUT} HTTP/1.1\r\n{self._authorization}X: ")

    async def _json(self, sock: socket.socket) -> None:
        await self._send(
            sock, f"POST {routes.LOGIN} HTTP/1.1\r\n{self._authorization}Content-Length: 60000\r\n\r\n"
        )

    async def _recording(self, sock: socket.socket) -> None:
        await self._send(
            sock,
            f"POST {routes.JOBS}?file_name=x.wav HTTP/1.1\r\n{self._authorization}"
            "Content-Type: audio/wav\r\nContent-Length: 10000000\r\n\r\n",
        )

    async def _answer(self, sock: socket.socket) -> None:
        reader, writer = await self._streams(sock)
        target = routes.JOB_AUDIO.format(id=self._job)
        writer.write(f"GET {target} HTTP/1.1\r\n{self._authorization}\r\n".encode())
        while await reader.read(1):
            await asyncio.sleep(DROP_SECONDS)

    async def _nothing(self, sock: socket.socket) -> None:
        _streams = await self._streams(sock) if self._context else None
        await asyncio.Event().wait()

    async def _handshake(self, sock: socket.socket) -> None:
        hello, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
        assert self._context is not None, "there is TLS"
        with suppress(ssl.SSLWantReadError):
            self._context.wrap_bio(incoming, hello, server_hostname="localhost").do_handshake()
        loop = asyncio.get_running_loop()
        for byte in hello.read():
            await loop.sock_sendall(sock, bytes([byte]))
            await asyncio.sleep(DROP_SECONDS)

    async def _half(self, sock: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(sock, b"\x16\x03\x01")
        await asyncio.Event().wait()


def _state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]


async def drip(
    dripper: Dripper, kinds: tuple[str, ...], count: int, limit: float
) -> dict[str, list[float | None]]:
    """Return by kind when each of ``count`` connections was closed."""
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    ends = await asyncio.gather(*(dripper.drip(kind, limit) for kind in chosen))
    found: dict[str, list[float | None]] = {kind: [] for kind in kinds}
    for kind, end in zip(chosen, ends, strict=True):
        found[kind].append(end)
    return found


def main(url: str, count: str, seconds: str, job: str, ca_file: str) -> None:
    """Drip, and print what became of it."""
    dripper = Dripper(url, sys.stdin.read().removeprefix("Bearer ").strip(), job, Path(ca_file))
    kinds = (*KINDS, *TLS_KINDS) if url.startswith("https") else KINDS
    print(json.dumps(asyncio.run(drip(dripper, kinds, int(count), float(seconds)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
