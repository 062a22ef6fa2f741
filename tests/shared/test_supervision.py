"""What a service manager is told, as systemd reads it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from projectw_shared.supervision import Supervisor


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The socket of a service manager, and what NOTIFY_SOCKET says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        if request.param == "file":
            address = str(tmp_path / "notify")
            sock.bind(address)
        else:
            address = f"@projectw-test-{os.getpid()}"
            sock.bind("\0" + address[1:])
        yield sock, address


def test_it_is_told_in_one_datagram(manager: tuple[socket.socket, str]) -> None:
    sock, address = manager
    Supervisor.from_environment({"NOTIFY_SOCKET": address}).tell("READY=1", "STATUS=All\nis well")
    assert sock.recv(4096) == b"READY=1\nSTATUS=All is well"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_given_where_they_are_wanted(
    environment: dict[str, str], seconds: float | None
) -> None:
    told = Supervisor.from_environment({"NOTIFY_SOCKET": "/run/x", **environment})
    assert told.watchdog_seconds == seconds
    assert Supervisor.from_environment(environment).watchdog_seconds is None


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens-here"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    Supervisor.from_environment({"NOTIFY_SOCKET": address}).tell("READY=1")
