"""Drippers: what 500 connections that never come to the point do to everybody else, and when each is closed.

A seventh each send a head, a JSON body, a recording or a TLS handshake byte by byte, read an answer byte by byte, send
nothing, or stop within a handshake; over plain HTTP those of TLS are left out. Beside them ordinary clients list jobs
and ask what the server is, and the time that those answers take is measured without drippers and with them. The server
is a real process on a core of its own, with its settings as shipped.
"""

import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.drippers_clients import KINDS, TLS_KINDS
from benchmarks.load import EMAIL, PASSWORD, SimulatedPerson, separate_core
from benchmarks.report import Report
from deploy.certificates import Authority
from deploy.installation import Installation
from projectw_shared import routes

DRIPPERS = 500
CLIENTS = 20
PAUSE_SECONDS = 0.1
LIMIT_SECONDS = 60.0
"""How long drippers are watched; who is still open then counts as left open."""

RECORDING_BYTES = 8 * 1024 * 1024


@dataclass
class Answers:
    """Seconds that each answer to an ordinary client took, and those that went wrong."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def p99(self) -> float:
        """The 99th percentile in milliseconds."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98] * 1000


def run(quick: bool) -> Report:
    """Measure over TLS, and unless it is to be quick over plain HTTP too; a minute each."""
    report = Report(
        "Drippers: connections that never come to the point",
        [
            "over", "kind", "connections", "left open", "first closed s", "last closed s", "others' p99 ms",
            "p99 without ms", "others failed",
        ],
    )  # fmt: skip
    for scheme in ("https",) if quick else ("http", "https"):
        with tempfile.TemporaryDirectory(prefix="projectw-drippers-") as name, separate_core() as core:
            folder = Path(name)
            authority = Authority(folder)
            certificate, key = authority.issue("server")
            tls = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
            installation = Installation(
                folder, server={"log_level": "warning", **(tls if scheme == "https" else {})}
            )
            try:
                installation.add_user(EMAIL, PASSWORD, admin=True)
                installation.serve(pin=core)
                context = ssl.create_default_context(cafile=authority.file) if scheme == "https" else None
                uvloop.run(
                    _measure(report, installation.url, context, authority.file, 4.0 if quick else 15.0)
                )
            finally:
                installation.close()
    report.notes += [
        f"{DRIPPERS} connections in all, begun at once, a byte a second each. {CLIENTS} ordinary clients ask ten times "
        "a second each.",
        "Closed: counted from the connection's beginning to its end as the dripper's kernel sees it.",
    ]
    return report


async def _measure(
    report: Report, url: str, context: ssl.SSLContext | None, ca_file: Path, seconds: float
) -> None:
    connector = aiohttp.TCPConnector(limit=0, ssl=context or True)
    async with aiohttp.ClientSession(connector=connector) as http:
        person = await SimulatedPerson.sign_in(http, url)
        job = await _submit_large(person)
        async with _asking(person) as quiet:
            await asyncio.sleep(seconds)
        async with _asking(person) as loud:
            closed = await _drip(url, person.headers["Authorization"], job, ca_file)
    kinds = KINDS if context is None else (*KINDS, *TLS_KINDS)
    for kind in kinds:
        ends = closed[kind]
        known = [end for end in ends if end is not None]
        report.add(
            url.partition(":")[0], kind, len(ends), len(ends) - len(known), min(known, default=None),
            max(known, default=None), loud.p99, quiet.p99, loud.failed,
        )  # fmt: skip


async def _submit_large(person: SimulatedPerson) -> str:
    body = person.recording + bytes(RECORDING_BYTES)
    answer = await person.send(routes.JOBS + "?file_name=large.wav", body, "application/octet-stream")
    return str(json.loads(answer)["id"])


@asynccontextmanager
async def _asking(person: SimulatedPerson) -> AsyncIterator[Answers]:
    """Let ordinary clients ask during the block."""
    answers = Answers()
    tasks = [asyncio.create_task(_ask(person, number, answers)) for number in range(CLIENTS)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(person: SimulatedPerson, number: int, answers: Answers) -> None:
    await asyncio.sleep(PAUSE_SECONDS * number / CLIENTS)
    path = routes.JOBS if number % 2 else routes.ABOUT
    while True:
        began = time.perf_counter()
        try:
            async with person.http.get(person.url + path, headers=person.headers) as answer:
                await answer.read()
                answers.failed += answer.status != 200
        except aiohttp.ClientError:
            answers.failed += 1
        answers.seconds.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)


async def _drip(url: str, authorization: str, job: str, ca_file: Path) -> dict[str, list[float | None]]:
    """Let another process drip: this one has latencies to measure."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.drippers_clients", url, str(DRIPPERS), str(LIMIT_SECONDS), job, str(ca_file),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, _ = await process.communicate(authorization.encode())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    found: dict[str, list[float | None]] = json.loads(out)
    return found
