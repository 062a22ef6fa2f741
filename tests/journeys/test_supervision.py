"""The programs under a service manager: ready when they are, alive while they are, and gone in good order."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.installation import Installation

pytestmark = pytest.mark.journey


class Manager:
    """What systemd is to a program: a socket that hears of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.settimeout(60)

    def hear(self, wanted: str) -> list[str]:
        """Return all lines up to the one that begins with ``wanted``."""
        heard: list[str] = []
        while not any(line.startswith(wanted) for line in heard):
            heard += self.sock.recv(4096).decode().split("\n")
        return heard

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing is heard for so long."""
        self.sock.setblocking(False)
        try:
            while True:
                self.sock.recv(4096)
        except BlockingIOError:
            pass
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(4096)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(60)
        return False


@pytest.fixture
def manage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Manager]]:
    """Let what is started from then on tell a manager of its own."""
    managers: list[Manager] = []

    def begin(name: str) -> Manager:
        manager = Manager(tmp_path / f"{name}.notify")
        managers.append(manager)
        monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
        monkeypatch.setenv("WATCHDOG_USEC", "800000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        return manager

    yield begin
    for manager in managers:
        manager.sock.close()


def test_server_and_runner_tell_how_it_goes(tmp_path: Path, manage: Callable[[str], Manager]) -> None:
    installation = Installation(tmp_path)
    try:
        token = installation.add_runner("gpu")
        manager = manage("server")
        server = installation.serve()
        assert f"STATUS=Listening on {installation.url}" in manager.hear("READY=1")
        manager.hear("WATCHDOG=1")

        runners = manage("runner")
        runner = installation.start_runner("gpu", token, engine="fake")
        assert not any(line.startswith("WATCHDOG") for line in runners.hear("READY=1"))
        runners.hear("STATUS=Waiting for a job")
        runners.hear("WATCHDOG=1")

        # One that stands still gives no sign: that is what it is started anew for.
        for program, told in ((server, manager), (runner, runners)):
            os.kill(program.pid, signal.SIGSTOP)
            assert told.is_silent(2.0)
            os.kill(program.pid, signal.SIGCONT)
            told.hear("WATCHDOG=1")

        runner.send(signal.SIGTERM)
        runners.hear("STOPPING=1")
        assert runner.wait() == 0
        server.send(signal.SIGTERM)
        manager.hear("STOPPING=1")
        assert server.wait() == 0
    finally:
        installation.close()
