"""A PostgreSQL for the length of a run, with an empty database for each scenario."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.chaos.equipment import Missing

PROGRAMS: Final = ("initdb", "pg_ctl", "psql")
ACCOUNT: Final = "nobody"
"""Whose the cluster is when this runs as root, as whom PostgreSQL refuses to run."""


class Cluster:
    """A running PostgreSQL on loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._count = 0

    def database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"chaos_{self._count}"
        address = ["--host", str(self._folder), "--port", str(self._port), "--username", "postgres"]
        _run(["psql", *address, "--command", f"CREATE DATABASE {name}"])
        return f"postgres://postgres@127.0.0.1:{self._port}/{name}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster in a folder of its own, and remove both at the end. Raises Missing."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Missing(f"{program} of PostgreSQL is not on the PATH")
    with tempfile.TemporaryDirectory(prefix="chaos-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT)
        port = _free_port()
        data = folder / "data"
        _run(["initdb", "--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--no-sync"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
        log = str(folder / "log")
        _run(["pg_ctl", "--pgdata", str(data), "--log", log, "--wait", "--options", options, "start"])
        try:
            yield Cluster(folder, port)
        finally:
            _run(["pg_ctl", "--pgdata", str(data), "--wait", "--mode", "immediate", "stop"])


def _run(words: list[str]) -> None:
    """Run a program as an account that PostgreSQL accepts. Raises Missing with what it said when it fails."""
    options: dict[str, Any] = {"user": ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
    # Not through pipes: the server that pg_ctl starts would hold them open.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", check=False, **options
        )
        if done.returncode:
            said.seek(0)
            raise Missing(f"{words[0]} failed: {said.read().decode(errors='replace').strip()}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
