"""What a flood of sign-ins does to everybody else's requests, and to the server's memory.

People look at their account and their jobs, ten times a second each, while another process signs in with wrong
passwords over many connections, each as soon as the one before is answered. Accounts and addresses change with every
try, so that no limit but the bound on passwords under way helps. The server has a core to itself, on which its event
loop and the hashing meet.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from benchmarks.accounts.population import settle
from benchmarks.load import Link, separate_core
from benchmarks.processes import peak_of
from benchmarks.report import Report
from deploy.installation import Installation
from projectw_shared import routes
from projectw_shared.accounts import Login, Tokens

PEOPLE = 10
ACCOUNTS = 200
CONNECTIONS = (20, 500)
EVERY = 0.1
PASSWORD = "violin-tangerine-moth-38"


def run(quick: bool) -> Report:
    """Measure without a flood and under two; the whole run takes about a minute."""
    report = Report(
        "Login flood: everybody else's requests meanwhile",
        [
            "connections", "requests", "median ms", "p99 ms", "max ms", "sign-ins looked at a second",
            "sign-ins refused a second", "peak memory MB",
        ],
    )  # fmt: skip
    seconds = 5.0 if quick else 20.0
    with tempfile.TemporaryDirectory(prefix="projectw-loginflood-") as folder, separate_core() as core:
        emails = [f"person-{number}@example.org" for number in range(ACCOUNTS)]
        asyncio.run(settle(Path(folder) / "data", emails, PASSWORD))
        installation = Installation(
            Path(folder),
            server={"log_level": "warning", "login_attempts_per_minute": 1_000_000, "signup": "open"},
        )
        try:
            pid = installation.serve(pin=core).pid
            uvloop.run(_measure(report, installation.url, pid, emails, seconds))
        finally:
            installation.close()
    report.notes += [
        f"{PEOPLE} people, {1 / EVERY:g} requests a second each, half for the account and half for the jobs. "
        "The goal for p99 under the flood is 250 ms.",
        "The server, its hashing included, has one core. Sign-up is open, so that a wrong password costs two checks.",
    ]
    return report


async def _measure(report: Report, url: str, pid: int, emails: list[str], seconds: float) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tokens = [await _sign_in(http, url, email) for email in emails[:PEOPLE]]
        for connections in (0, *CONNECTIONS):
            flood = asyncio.create_task(_flood(url, connections, seconds + 1)) if connections else None
            await asyncio.sleep(1.0)
            times = await _everybody(http, url, tokens, seconds)
            counted = await flood if flood else {}
            report.add(
                connections, len(times), _quantile(times, 50), _quantile(times, 99), max(times) * 1000,
                counted.get("401", 0) / (seconds + 1), counted.get("refused", 0) / (seconds + 1), peak_of(pid) / 1e6,
            )  # fmt: skip


async def _sign_in(http: aiohttp.ClientSession, url: str, email: str) -> str:
    answer = await Link(http, url).post(routes.LOGIN, Login(email, PASSWORD))
    return msgspec.json.decode(answer, type=Tokens).access_token


async def _everybody(http: aiohttp.ClientSession, url: str, tokens: list[str], seconds: float) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(tokens):
            group.create_task(_person(http, url, token, until, number * EVERY / PEOPLE, times))
    return times


async def _person(
    http: aiohttp.ClientSession, url: str, token: str, until: float, offset: float, times: list[float]
) -> None:
    await asyncio.sleep(offset)
    headers = {"Authorization": f"Bearer {token}"}
    number = 0
    while (began := time.perf_counter()) < until:
        number += 1
        async with http.get(url + (routes.ME if number % 2 else routes.JOBS), headers=headers) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a request was answered with {answer.status}")
        times.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, began + EVERY - time.perf_counter()))


async def _flood(url: str, connections: int, seconds: float) -> dict[str, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.accounts.login_flood", url, str(connections), str(seconds), str(ACCOUNTS),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    counted: dict[str, int] = json.loads(out)
    return counted


def _quantile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1] * 1000
