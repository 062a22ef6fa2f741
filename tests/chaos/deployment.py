"""The programs of one run: servers behind the proxy, a database, runners, and people who use them."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.installation import Installation, environment
from deploy.programs import SCRIPTS, Program, end_all
from tests.chaos import snapshot
from tests.chaos.history import History
from tests.chaos.person import Person
from tests.chaos.proxy import FaultProxy
from tests.chaos.simulated_runner import GOOD, Manners, SimulatedRunner

PASSWORD: Final = "correct horse battery staple"
ADMIN, STRANGER = "ada@example.org", "bob@example.org"

LEASE_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 0.5
MAX_ATTEMPTS: Final = 3

HEAD_START_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


class Deployment:
    """A running installation in ``folder``. ``database_url``: SQLite in the data directory when None.

    ``extra`` is added to the environment of the servers, ``program`` takes the place of theirs. ``prepared`` is what
    ``prepare`` has made, for SQLite alone. Everything goes through ``proxy``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 1,
        database_url: str | None = None,
        data_dir: Path | None = None,
        extra: Mapping[str, str] | None = None,
        program: Sequence[str | Path] | None = None,
        prepared: Path | None = None,
    ) -> None:
        self.folder = folder
        self.data_dir = data_dir or folder / "data"
        self.database_url = database_url or f"sqlite://{self.data_dir / 'projectw.sqlite3'}"
        self.installation = Installation(
            folder,
            server={
                "data_dir": str(self.data_dir),
                "database_url": self.database_url,
                "lease_seconds": LEASE_SECONDS,
                "heartbeat_seconds": HEARTBEAT_SECONDS,
                "max_attempts": MAX_ATTEMPTS,
            },
        )
        self.history = History(folder / "history.jsonl")
        self.names: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.proxy = FaultProxy(self.history, self.names)
        self.servers: list[Program] = []
        self.runners: list[Program] = []
        self.admin: Person
        self.stranger: Person
        self.simulated: list[SimulatedRunner] = []
        self._working: list[asyncio.Task[None]] = []
        self._environment = {**environment(), **(extra or {})}
        self._prepared = prepared if database_url is None else None
        self._program = program or [SCRIPTS / "projectw-server"]
        self._count = servers

    async def __aenter__(self) -> "Deployment":
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def _start(self) -> None:
        if self._prepared is not None:
            await asyncio.to_thread(shutil.copytree, self._prepared, self.data_dir, dirs_exist_ok=True)
        else:
            await asyncio.to_thread(add_people, self.installation)
        await self.proxy.start()
        self.proxy.ports = [0] * self._count
        self.servers = [await self.serve(number) for number in range(self._count)]
        self.installation.use_server(self.proxy.url)
        self.admin = Person(self.proxy.url, ADMIN, PASSWORD)
        self.stranger = Person(self.proxy.url, STRANGER, PASSWORD)
        await self.admin.__aenter__()
        await self.stranger.__aenter__()

    async def serve(self, number: int) -> Program:
        """Start server ``number`` at the port that it had before."""
        words = [*self._program, "--config", self.installation.server_config]
        program = Program(
            [*words, "serve", "--port", str(self.proxy.ports[number])],
            self.folder / f"server-{number}.log",
            environment=self._environment,
        )
        self.installation.programs.append(program)
        found = await asyncio.to_thread(
            program.wait_for, r"listening on http://\S+:(\d+)", timeout=HEAD_START_SECONDS
        )
        self.proxy.ports[number] = int(found[1])
        return program

    async def restart(self, number: int, *, after: float = 0.0) -> None:
        """Kill a server, and start it again ``after`` so many seconds."""
        self._end(self.servers[number])
        await asyncio.sleep(after)
        self.servers[number] = await self.serve(number)

    async def token(self, name: str) -> str:
        """Return the token of the runner ``name``, which is made when it is new."""
        if name not in self.tokens:
            self.tokens[name] = (await self.admin.make_runner(name)).token
            self.names[self.tokens[name]] = name
        return self.tokens[name]

    async def start_runner(self, name: str, **settings: Any) -> Program:
        """Start the real runner program with the fake engine, and return when it has registered."""
        token = await self.token(name)
        program = self.installation.start_runner(name, token, **{"engine": "fake", **settings})
        self.runners.append(program)
        await asyncio.to_thread(program.wait_for, "registered", timeout=HEAD_START_SECONDS)
        return program

    async def simulate(self, count: int, *, prefix: str, seed: str = "", manners: Manners = GOOD) -> None:
        """Let ``count`` simulated runners work until ``dismiss`` or the end."""
        for number in range(count):
            name = f"{prefix}-{number}"
            self.simulate_one(name, await self.token(name), seed, manners)

    def simulate_one(self, name: str, token: str, seed: str, manners: Manners) -> None:
        """Let one more simulated runner work."""
        runner = SimulatedRunner(self.proxy.url, name, token, seed, manners)
        self.simulated.append(runner)
        self._working.append(asyncio.create_task(runner.run(), name=name))

    async def dismiss(self) -> None:
        """End the simulated runners without a word."""
        working, self._working, self.simulated = self._working, [], []
        for task in working:
            task.cancel()
        for outcome in await asyncio.gather(*working, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def stop_runners(self) -> None:
        """End the runner programs, also those that were stopped."""
        runners, self.runners = self.runners, []
        for program in runners:
            await asyncio.to_thread(program.stop)
            self.installation.programs.remove(program)

    async def look(self) -> snapshot.Snapshot:
        """Read what is stored."""
        return await asyncio.to_thread(snapshot.take, self.database_url, self.data_dir / "recordings")

    async def settle(self, seconds: float) -> bool:
        """Wait until every job is over; False when that takes longer than ``seconds``."""
        unfinished = "SELECT count(*) AS n FROM jobs WHERE state IN ('queued', 'assigned', 'running')"
        deadline = asyncio.get_running_loop().time() + seconds
        while (await asyncio.to_thread(snapshot.query, self.database_url, unfinished))[0]["n"]:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def let_time_pass(self, seconds: float) -> None:
        """Make the recordings that lie in storage older, and start the servers anew, which then sweep."""
        for path in (self.data_dir / "recordings").glob("blobs/*/*"):
            modified = path.stat().st_mtime - seconds
            os.utime(path, (modified, modified))
        for number in range(self._count):
            await self.restart(number)

    def _end(self, program: Program) -> None:
        program.kill()
        if program in self.installation.programs:
            self.installation.programs.remove(program)

    async def close(self) -> None:
        """End everything."""
        try:
            await self.dismiss()
        finally:
            for person in (getattr(self, "admin", None), getattr(self, "stranger", None)):
                if person is not None:
                    await person.__aexit__()
            for program in self.installation.programs:
                if program.returncode is None:
                    program.send(signal.SIGCONT)
            self.proxy.weather.turn(None)
            await asyncio.to_thread(end_all, list(reversed(self.installation.programs)))
            await self.proxy.close()
            self.history.close()


def prepare(folder: Path) -> Path:
    """Make the accounts once for many deployments, and return the data directory that they start from."""
    add_people(Installation(folder))
    return folder / "data"


def add_people(installation: Installation) -> None:
    """Make the accounts: an admin, and somebody else."""
    installation.add_user(ADMIN, PASSWORD, admin=True)
    installation.add_user(STRANGER, PASSWORD)
