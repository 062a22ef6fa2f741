"""The least that could receive an upload: a loop over a socket, and aiohttp's server.

``python -m benchmarks.upload_peers KIND PORT FILE``. Both do what Project W does with a recording: count it, hash
it (SHA-256), write it, and fsync it before they answer.
"""

import hashlib
import os
import socket
import sys
from pathlib import Path

PIECE = 1024 * 1024


class Sink:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        os.write(self._file, data)
        self.size += len(data)

    def finish(self) -> str:
        """Make the file durable and return its digest."""
        os.fsync(self._file)
        os.close(self._file)
        return self._hash.hexdigest()


def serve_socket(port: int, path: Path) -> None:
    """Take one upload after another, in one thread, without a framework."""
    buffer = memoryview(bytearray(PIECE))
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                _receive(connection, buffer, path)


def _receive(connection: socket.socket, buffer: memoryview, path: Path) -> None:
    start = b""
    while b"\r\n\r\n" not in start:
        if not (received := connection.recv(65536)):
            return
        start += received
    head, _, rest = start.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    sink = Sink(path)
    sink.write(rest)
    while sink.size < length:
        sink.write(buffer[: connection.recv_into(buffer)])
    answer = sink.finish().encode()
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


def serve_aiohttp(port: int, path: Path) -> None:
    """Take uploads by aiohttp's server, writing in a thread."""
    import asyncio

    from aiohttp import web

    async def receive(request: web.Request) -> web.Response:
        sink = Sink(path)
        gathered = bytearray()
        async for chunk in request.content.iter_any():
            gathered += chunk
            if len(gathered) >= PIECE:
                await asyncio.to_thread(sink.write, bytes(gathered))
                gathered.clear()
        await asyncio.to_thread(sink.write, bytes(gathered))
        return web.Response(status=201, text=await asyncio.to_thread(sink.finish))

    app = web.Application(client_max_size=0)
    app.router.add_post("/{anything:.*}", receive)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    {"socket": serve_socket, "aiohttp": serve_aiohttp}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
