"""Telling systemd how a service fares: sd_notify(3), one datagram at a time."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Supervisor:
    """Whoever started this process and wants to hear of it; tells nobody where there is none.

    ``watchdog_seconds`` is within which time it wants to hear WATCHDOG=1 again and again, None when it does not.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds if address else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Supervisor":
        """Return the one that the environment names."""
        microseconds = environ.get("WATCHDOG_USEC", "")
        is_meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted = int(microseconds) / 1e6 if microseconds.isdecimal() and is_meant else None
        return cls(environ.get("NOTIFY_SOCKET", ""), wanted or None)

    def tell(self, *assignments: str) -> None:
        """Send ``NAME=value`` assignments. One that cannot be told is no reason for a service to fail."""
        if not self._address.startswith(("/", "@")):
            return
        # A leading @ stands for the NUL of a name in the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in assignments)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), address)
