"""A PostgreSQL of one's own for a while, as durable as it comes, so that its processor time can be counted."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.processes import Measured, free_port

CONNECTIONS = 300
USER = "projectw"
NOBODY = "nobody"
"""PostgreSQL refuses to run as root; where this does, it runs as this user."""


@contextmanager
def cluster() -> Iterator[tuple[str, psutil.Process]]:
    """Start PostgreSQL on a free port over an empty database; yield its URL and its first process.

    Its programs are those on the PATH. Raises RuntimeError when they are not there or do not start.
    """
    missing = [name for name in ("initdb", "postgres") if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"PostgreSQL's {' and '.join(missing)} must be on the PATH")
    folder = Path(tempfile.mkdtemp(prefix="projectw-postgres-"))
    try:
        whose = _owner(folder)
        data = folder / "data"
        made = subprocess.run(
            ["initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **whose,
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr.strip()}")
        port = free_port()
        words = ["postgres", "-D", data, "-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
        words += ["-c", f"max_connections={CONNECTIONS}"]
        with Measured(words, core=None, log=folder / "log", cwd=folder, **whose) as measured:
            measured.wait_until_listening(port)
            yield f"postgres://{USER}@127.0.0.1:{port}/postgres", psutil.Process(measured.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner(folder: Path) -> dict[str, Any]:
    """Return how the programs are started, and give them ``folder``."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, NOBODY)
    return {"user": NOBODY}
