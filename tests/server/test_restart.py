"""The real server, killed while a runner holds a job, and started again."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import PASSWORD
from .test_jobs_api import WAV
from .test_runners_api import Caller, segment

LIMIT = 60.0


class Installation:
    """A server's data, whether it runs just now or not."""

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self.config = folder / "config.yaml"
        self.config.write_text(
            json.dumps(
                {
                    "server": {
                        "data_dir": str(folder / "home"),
                        "port": 0,
                        "min_free_bytes": 0,
                        "lease_seconds": lease_seconds,
                    }
                }
            )
        )
        self.port = 0

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "projectw_server", "--config", str(self.config), *arguments]

    async def run(self, *arguments: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(given.encode()), LIMIT)
        assert process.returncode == 0
        return out.decode().strip()

    @asynccontextmanager
    async def serving(self, *, end_with: signal.Signals = signal.SIGTERM) -> AsyncIterator[str]:
        """Serve, always at the same address, and end by a signal."""
        process = await asyncio.create_subprocess_exec(
            *self.command("serve", "--port", str(self.port)), stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        reading: asyncio.Task[bytes] | None = None
        try:
            async with asyncio.timeout(LIMIT):
                while not (
                    found := re.search(rb"listening on (http://\S+:(\d+))", await process.stderr.readline())
                ):
                    assert process.returncode is None
            reading = asyncio.create_task(process.stderr.read())
            self.port = int(found[2])
            yield found[1].decode()
        finally:
            os.kill(process.pid, end_with)
            await asyncio.wait_for(process.wait(), LIMIT)
            if reading is not None:
                await reading


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as http:
        yield http


async def sign_in(http: aiohttp.ClientSession, url: str) -> Caller:
    async with http.post(
        f"{url}/api/auth/login", json={"email": "ada@example.org", "password": PASSWORD}
    ) as response:
        return Caller(http, url, (await response.json())["access_token"])


async def submit(user: Caller) -> Any:
    headers = user.headers | {"Content-Type": "audio/wav"}
    async with user.http.post(f"{user.url}/api/jobs?file_name=a.wav", data=WAV, headers=headers) as response:
        assert response.status == 201, await response.text()
        return await response.json()


async def begin(
    installation: Installation, http: aiohttp.ClientSession
) -> tuple[Caller, Caller, dict[str, Any]]:
    """Let a runner take a job, bring two segments, and kill the server."""
    await installation.run("user", "add", "ada@example.org", "--password-stdin", given=PASSWORD)
    token = await installation.run("runner", "add", "gpu-1")
    async with installation.serving(end_with=signal.SIGKILL) as url:
        user, runner = await sign_in(http, url), Caller(http, url, token)
        await runner.register()
        await submit(user)
        held = (await runner.beat())["job"]
        told = {"id": held["id"], "lease": held["lease"], "progress": 0.5, "resume_at": 2, "duration": 4}
        await runner.beat(job=told | {"first": 0, "segments": [segment(0), segment(1)]})
    return user, runner, held


@pytest.mark.journey
async def test_a_runner_goes_on_with_its_job_after_the_server_was_killed(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    installation = Installation(tmp_path, lease_seconds=60)
    user, runner, held = await begin(installation, http)
    async with installation.serving():
        job = await user.call("GET", f"/api/jobs/{held['id']}")
        assert (job["state"], job["attempts"]) == ("running", 1)
        told = {"id": held["id"], "lease": held["lease"], "progress": 0.9, "resume_at": 4}
        await runner.beat(job=told | {"first": 1, "segments": [segment(1), segment(2)]})
        await runner.result(held, next=3, language="en", duration=4.0)
        found = await user.call("GET", f"/api/jobs/{held['id']}/segments")
        assert ([each["id"] for each in found["segments"]], found["complete"]) == ([0, 1, 2], True)


@pytest.mark.journey
async def test_a_job_whose_runner_does_not_come_back_is_queued_with_its_segments(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    installation = Installation(tmp_path, lease_seconds=1)
    user, runner, held = await begin(installation, http)
    async with installation.serving():
        async with asyncio.timeout(LIMIT):
            while (await user.call("GET", f"/api/jobs/{held['id']}"))["state"] != "queued":
                await asyncio.sleep(0.05)
        assert (await runner.result(held, 409, next=2))["code"] == "lease-lost"
        other = Caller(http, runner.url, await installation.run("runner", "add", "gpu-2"))
        await other.register()
        again = (await other.beat())["job"]
        assert (again["id"], again["lease"], again["first"], again["resume_at"]) == (held["id"], 2, 2, 2.0)
        assert [each["id"] for each in again["segments"]] == [0, 1]
