"""How much of what was written a client has taken, as the kernel knows it.

A transport hands what it has to the kernel, which holds megabytes for a client that reads none of it and says nothing
for minutes at one that reads slowly: what the client's side has confirmed is the only measure of its speed.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress

INFO_BYTES = 192
ACKED_AT = 120
"""Where tcpi_bytes_acked stands in Linux' ``struct tcp_info``, 8 bytes of it."""


class Outflow:
    """The way out of one connection. Elsewhere than on Linux only the transport's own buffer is seen."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: socket.socket | None = transport.get_extra_info("socket")

    def waiting(self) -> int:
        """Return how many bytes the client has not confirmed yet."""
        return self._transport.get_write_buffer_size() + self._in_kernel()

    def taken(self) -> int:
        """Return how many bytes the client has confirmed since the connection began."""
        if sys.platform != "linux" or self._socket is None:
            return -self._transport.get_write_buffer_size()
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
        except OSError:
            return 0
        return int.from_bytes(info[ACKED_AT : ACKED_AT + 8], sys.byteorder)

    def drop(self) -> None:
        """End the connection with all that waits: the kernel would go on offering it to the client for minutes."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _in_kernel(self) -> int:
        if sys.platform != "linux" or self._socket is None:
            return 0
        try:
            queued = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return int.from_bytes(queued, sys.byteorder)
