"""Two servers on one database are restarted one after the other, and nobody who comes through the balancer notices."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from deploy.installation import Installation
from deploy.postgres import Postgres
from deploy.programs import SCRIPTS, Program
from projectw_shared import routes
from projectw_shared.accounts import Tokens
from projectw_shared.messages import Job
from tests.chaos.history import History
from tests.chaos.proxy import FaultProxy
from tests.chaos.simulated_runner import GOOD, SimulatedRunner

from .world import EMAIL, PASSWORD, write_sound

pytestmark = pytest.mark.journey

LOOK_SECONDS = 0.05


class Balancer(FaultProxy):
    """Sends nobody to a server that does not say that it is ready."""

    def __init__(self, history: History) -> None:
        super().__init__(history, {})
        self.all_ports: list[int] = []

    async def look(self) -> None:
        """Ask every server from time to time."""
        while True:
            ready = await asyncio.gather(*map(is_ready, self.all_ports))
            self.ports = [port for port, fine in zip(self.all_ports, ready, strict=True) if fine]
            await asyncio.sleep(LOOK_SECONDS)


async def is_ready(port: int) -> bool:
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/readyz", timeout=aiohttp.ClientTimeout(total=2)) as answer,
        ):
            return answer.status == 200
    return False


class Pair:
    """Two servers behind a balancer."""

    def __init__(self, installation: Installation, balancer: Balancer) -> None:
        self.installation = installation
        self.balancer = balancer
        self.programs: list[Program] = []

    async def start(self, number: int) -> None:
        port = self.balancer.all_ports[number] if number < len(self.balancer.all_ports) else 0
        program = Program(
            [
                SCRIPTS / "projectw-server",
                "--config",
                self.installation.server_config,
                "serve",
                "--port",
                str(port),
            ],
            self.installation.folder / f"server-{number}.log",
        )
        self.installation.programs.append(program)
        found = await asyncio.to_thread(program.wait_for, r"listening on http://\S+:(\d+)")
        if port == 0:
            self.balancer.all_ports.append(int(found[1]))
            self.programs.append(program)
        self.programs[number] = program
        await until_ready(self.balancer, self.balancer.all_ports[number])

    async def restart(self, number: int) -> None:
        self.programs[number].send(signal.SIGTERM)
        assert await asyncio.to_thread(self.programs[number].wait) == 0
        await self.start(number)


async def until_ready(balancer: Balancer, port: int) -> None:
    async with asyncio.timeout(30):
        while port not in balancer.ports:
            await asyncio.sleep(LOOK_SECONDS)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    postgres = await asyncio.to_thread(Postgres)
    settings = {"database_url": postgres.create("pair"), "shutdown_delay_seconds": 0.5}
    installation = Installation(tmp_path, server=settings)
    balancer = Balancer(History(tmp_path / "history.jsonl"))
    await asyncio.to_thread(installation.add_user, EMAIL, PASSWORD)
    await balancer.start()
    looking = asyncio.create_task(balancer.look())
    pair = Pair(installation, balancer)
    try:
        for number in range(2):
            await pair.start(number)
        yield pair
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        await balancer.close()
        balancer.history.close()
        await asyncio.to_thread(installation.close)
        await asyncio.to_thread(postgres.close)


class Visitor:
    """Somebody who tries nothing twice: each request has a connection of its own and must be answered well."""

    def __init__(self, url: str, token: str, recording: bytes) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._recording = recording
        self.submitted: list[str] = []
        self.count = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(
            self._url,
            headers=self._headers,
            connector=aiohttp.TCPConnector(force_close=True),
            raise_for_status=True,
        ) as session:
            yield session

    async def look_around(self) -> None:
        async with self.session() as session:
            while True:
                async with session.get(f"{routes.JOBS}?limit=5") as answer:
                    await answer.read()
                self.count += 1
                await asyncio.sleep(0.01)

    async def submit(self) -> None:
        async with self.session() as session:
            while True:
                headers = {"Content-Type": "application/octet-stream"}
                query = {"file_name": "talk.wav"}
                async with session.post(
                    routes.JOBS, params=query, data=self._slowly(), headers=headers
                ) as answer:
                    self.submitted.append(msgspec.json.decode(await answer.read(), type=Job).id)

    async def _slowly(self) -> AsyncIterator[bytes]:
        middle = len(self._recording) // 2
        yield self._recording[:middle]
        await asyncio.sleep(0.3)
        yield self._recording[middle:]


async def test_a_rolling_restart_fails_no_request(pair: Pair, tmp_path: Path) -> None:
    url = pair.balancer.url
    async with (
        aiohttp.ClientSession(url, raise_for_status=True) as session,
        session.post(routes.LOGIN, json={"email": EMAIL, "password": PASSWORD}) as answer,
    ):
        token = msgspec.json.decode(await answer.read(), type=Tokens).access_token
    recording = write_sound(tmp_path / "talk.wav", 5).read_bytes()
    visitor = Visitor(url, token, recording)
    runners = [
        SimulatedRunner(url, name, await asyncio.to_thread(pair.installation.add_runner, name), "1", GOOD)
        for name in ("first", "second")
    ]
    working = [asyncio.create_task(runner.run()) for runner in runners]
    visits = [asyncio.create_task(work()) for work in (visitor.look_around, visitor.submit, visitor.submit)]
    try:
        for number in (0, 1, 0):
            before = visitor.count
            await pair.restart(number)
            # Whoever has failed has ended.
            assert not [task.exception() for task in visits if task.done()]
            assert visitor.count > before
    finally:
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
    await until_all_succeeded(url, token, visitor.submitted)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def until_all_succeeded(url: str, token: str, submitted: list[str]) -> None:
    assert submitted
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session,
    ):
        for job_id in submitted:
            while True:
                async with session.get(routes.JOB.format(id=job_id)) as answer:
                    job = msgspec.json.decode(await answer.read(), type=Job)
                if job.state.is_over:
                    break
                await asyncio.sleep(0.05)
            assert job.state == "succeeded"
            assert job.attempts == 1
