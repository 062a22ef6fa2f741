"""A server process under measurement: started, waited for, its time and its memory, and ended."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

START_SECONDS = 60.0


def free_port() -> int:
    """Return a port of the loopback that is free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Measured:
    """A process with its children; ``started`` says how else than usual ``subprocess.Popen`` is to start it."""

    def __init__(self, words: Sequence[str | Path], *, core: int | None, log: Path, **started: Any) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            words, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True, **started
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})

    def wait_until_listening(self, port: int) -> None:
        """Return when it takes connections on ``port``; RuntimeError when it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start; see {self._log.name}")

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far, of all of it."""
        times = [each.cpu_times() for each in self._tree()]
        return float(sum(each.user + each.system for each in times))

    @property
    def peak_bytes(self) -> int:
        """The highest resident memory so far: the sum of each process's own peak."""
        return sum(peak_of(each.pid) for each in self._tree())

    def forget_peak(self) -> None:
        """Let the peak begin again from what is resident now."""
        for each in self._tree():
            Path(f"/proc/{each.pid}/clear_refs").write_text("5")

    def _tree(self) -> list[psutil.Process]:
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def peak_of(pid: int) -> int:
    """Return the highest resident memory of one process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def blocking_socket(port: int) -> Iterator[socket.socket]:
    """Connect to ``port`` of the loopback."""
    with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
        connection.settimeout(600.0)
        yield connection


def send_body(
    connection: socket.socket,
    head: str,
    size: int,
    *,
    before: bytes = b"",
    start: bytes = b"",
    behind: bytes = b"",
) -> tuple[bytes, float]:
    """Send a request with ``size`` bytes that begin with ``start``, between ``before`` and ``behind``.

    As fast as it is taken. The answer is read until the server closes: ``head`` should ask for that. Returns it,
    and the seconds from the first byte out to the last byte in.
    """
    piece = memoryview(os.urandom(1024 * 1024))
    begun = time.perf_counter()
    connection.sendall(head.encode() + before + start)
    left = size - len(start)
    while left > 0:
        sent = piece[: min(left, len(piece))]
        connection.sendall(sent)
        left -= len(sent)
    connection.sendall(behind)
    answer = bytearray()
    while received := connection.recv(65536):
        answer += received
    return bytes(answer), time.perf_counter() - begun


def head_of(method: str, target: str, headers: dict[str, str]) -> str:
    """Return the first lines of a request after which the server closes the connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
