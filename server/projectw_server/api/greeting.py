"""TLS in front of the HTTP protocol: the handshake has its time, and counts as a connection from its first byte on.

A server of asyncio's own shows a connection only when its handshake is over, so that those who never finish it would be
counted by nobody until the process has no more files to open.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

import structlog

from projectw_server.api.occupancy import Occupancy
from projectw_server.sources import source_of

HANDSHAKE_SECONDS = 15.0
"""How long a client may take for its handshake."""

FAREWELL_SECONDS = 2.0
"""How long a client may take to confirm the end of its TLS connection."""

BACKLOG = 2048

REST_SECONDS = 1.0
"""How long nobody is let in when the process has no more files."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Make = Callable[[Callable[[], object]], asyncio.Protocol]
"""Makes a protocol, which calls what it is given when its connection is there."""

_log = structlog.get_logger(__name__)


class Reception:
    """Takes the connections to a TLS server's sockets, and hands each to a protocol of its own once it is secure."""

    def __init__(
        self, context: ssl.SSLContext, occupancy: Occupancy, on_excess: Callable[[], object] = lambda: None
    ) -> None:
        self._context = context
        self._occupancy = occupancy
        self._on_excess = on_excess
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, sockets: list[socket.socket], make: Make) -> None:
        """Listen on ``sockets``, which stay the caller's, and let ``make`` make the protocols."""
        for sock in sockets:
            sock.setblocking(False)
            sock.listen(BACKLOG)
            self._begin(self._accept(sock, make))

    def close(self) -> None:
        """Let nobody in any more; who is in the middle of a handshake is out."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, sock: socket.socket, make: Make) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(sock)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    _log.error("nobody is let in for a moment", reason=error.strerror)
                    await asyncio.sleep(REST_SECONDS)
                continue  # or it was gone before it was taken
            connection.setblocking(False)
            source = source_of(address[0])
            self._occupancy.enter(source)
            if self._occupancy.excess() or self._occupancy.excess_of(source):
                # There is no answer to give yet.
                self._occupancy.leave(source)
                self._on_excess()
                connection.close()
            else:
                self._begin(self._greet(connection, source, make))

    async def _greet(self, connection: socket.socket, source: str, make: Make) -> None:
        leave = _once(lambda: self._occupancy.leave(source))
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: make(leave),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=FAREWELL_SECONDS,
            )
        except OSError:
            # A scanner, plain HTTP, someone who does not trust the certificate, or nobody at all.
            connection.close()
        finally:
            leave()


def _once(call: Callable[[], object]) -> Callable[[], None]:
    """Return what does ``call`` at its first call and nothing at the others."""
    left = [call]

    def first() -> None:
        if left:
            left.pop()()

    return first
