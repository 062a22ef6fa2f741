"""A server that is told to stop says so first, then lets go of what it holds, and ends."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from quart import Quart

from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.lifetime import Stage
from projectw_server.app import create_app
from projectw_server.db import Database
from projectw_server.settings import ServerSettings

from .conftest import PASSWORD
from .test_restart import LIMIT, Installation
from .test_runners_api import Caller

LONG = 30.0
"""Seconds of delay that no test waits for: what ends sooner was ended by something else."""


async def test_a_server_that_has_not_begun_is_not_ready(settings: ServerSettings, database: Database) -> None:
    app = create_app(settings, database)
    answer = await app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert (await answer.get_json())["detail"] == "The server is starting"
    assert (await app.test_client().get("/healthz")).status_code == 200
    async with app.test_app():
        assert (await app.test_client().get("/readyz")).status_code == 200
    found: Services = app.extensions[EXTENSION]
    assert found.lifetime.stage is Stage.STOPPING


async def test_a_server_that_leaves_is_not_ready_and_still_serves(app: Quart, services: Services) -> None:
    services.lifetime.leave()
    services.lifetime.begin()
    client = app.test_client()
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await answer.get_json())["components"] == ["server"]
    assert (await client.get("/api/about")).status_code == 200


class Told:
    """A server process and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    def tell(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)


@asynccontextmanager
async def serving(tmp_path: Path, delay: float) -> AsyncIterator[tuple[Told, Installation]]:
    installation = Installation(tmp_path, lease_seconds=60)
    document = json.loads(installation.config.read_text())
    document["server"]["shutdown_delay_seconds"] = delay
    installation.config.write_text(json.dumps(document))
    await installation.run("user", "add", "ada@example.org", "--password-stdin", given=PASSWORD)
    process = await asyncio.create_subprocess_exec(
        *installation.command("serve", "--port", "0"), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(LIMIT):
            while not (found := re.search(rb"listening on (\S+)", await process.stderr.readline())):
                assert process.returncode is None
        reading = asyncio.create_task(process.stderr.read())
        yield Told(process, found[1].decode()), installation
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as http:
        yield http


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status


async def until_not_ready(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(LIMIT):
        while await status(http, f"{url}/readyz") != 503:
            await asyncio.sleep(0.01)


@pytest.mark.journey
async def test_told_to_stop_it_says_so_serves_on_and_then_answers_what_it_holds(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(tmp_path, 1.0) as (server, installation):
        runner = Caller(http, server.url, await installation.run("runner", "add", "gpu-1"))
        await runner.register()
        beating = asyncio.create_task(runner.beat(wait=15))
        await asyncio.sleep(0)
        server.tell()
        await until_not_ready(http, server.url)
        assert await status(http, f"{server.url}/api/about") == 200
        assert (await beating)["job"] is None
        assert await asyncio.wait_for(server.process.wait(), LIMIT) == 0


@pytest.mark.journey
async def test_told_twice_it_does_not_wait(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path, LONG) as (server, _):
        server.tell()
        await until_not_ready(http, server.url)
        server.tell()
        async with asyncio.timeout(LONG / 2):
            assert await server.process.wait() == 0
