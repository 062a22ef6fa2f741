"""What a flood of lists and submissions does to the heartbeats of working runners, with and without admission.

Twenty runners hold a job each and beat twice a second, while a process of its own sends lists and submissions of
many users over hundreds of connections, each as soon as the one before is answered, whatever the answer says.
The server is a real process on a core of its own, once with limits that are never reached and once as shipped; its
leases are short, so that a heartbeat that comes too late costs its runner the job.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from benchmarks.load import EMAIL, PASSWORD, Link, SimulatedPerson, SimulatedRunner, separate_core
from benchmarks.report import Report
from deploy.installation import Installation
from projectw_shared import routes
from projectw_shared.accounts import Login, Tokens
from projectw_shared.messages import Heartbeat, HeldJob

RUNNERS = 20
BEAT_SECONDS = 0.5
LEASE_SECONDS = 5.0
USERS = 8
CONNECTIONS = 2000
NEVER = 1_000_000
MODES: dict[str, dict[str, int]] = {
    "off": {"max_requests_in_flight": NEVER, "max_requests_waiting": NEVER, "max_lag_seconds": NEVER},
    "on": {},
}


@dataclass
class Beats:
    """Seconds that each heartbeat took, and those that were not taken, by their status."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0

    def quantile(self, percent: int) -> float:
        """Return a percentile in milliseconds."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1] * 1000


@dataclass(frozen=True)
class Flood:
    """What became of the flood: requests answered and refused in a second."""

    answered: float = 0.0
    refused: float = 0.0


def run(quick: bool) -> Report:
    """Measure both ways; the whole run takes about a minute and a half."""
    report = Report(
        "Overload: heartbeats of working runners under a flood of lists and submissions",
        [
            "admission", "flood", "beats", "median ms", "p99 ms", "max ms", "p99 to quiet", "answered a second",
            "refused a second", "beats refused", "jobs lost",
        ],
    )  # fmt: skip
    seconds = 6.0 if quick else 25.0
    for mode, settings in MODES.items():
        with tempfile.TemporaryDirectory(prefix="projectw-overload-") as folder, separate_core() as core:
            installation = Installation(
                Path(folder), server={"lease_seconds": LEASE_SECONDS, "log_level": "warning", **settings}
            )
            try:
                for number in range(USERS):
                    installation.add_user(_email(number), PASSWORD, admin=number == 0)
                installation.serve(pin=core)
                uvloop.run(_measure(report, mode, installation.url, seconds))
            finally:
                installation.close()
    report.notes += [
        f"{RUNNERS} runners, {CONNECTIONS} connections of {USERS} users, leases of {LEASE_SECONDS:g} s. Three of four "
        "requests of the flood are lists, one a submission; it does not heed Retry-After.",
        "Off: limits that are never reached. On: the settings as shipped.",
    ]
    return report


def _email(number: int) -> str:
    return EMAIL if number == 0 else f"{number}-{EMAIL}"


async def _measure(report: Report, mode: str, url: str, seconds: float) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        tokens = [await _sign_in(http, url, _email(number)) for number in range(USERS)]
        person = SimulatedPerson(http, url, tokens[0])
        workers = [await _Worker.start(person, number) for number in range(RUNNERS)]
        quiet = await _beats(workers, seconds)
        _add(report, mode, "no", quiet, quiet, Flood())
        flooding = asyncio.create_task(_flood(url, tokens, seconds))
        loud = await _beats(workers, seconds)
        _add(report, mode, "yes", loud, quiet, await flooding)


async def _sign_in(http: aiohttp.ClientSession, url: str, email: str) -> str:
    answer = await Link(http, url).post(routes.LOGIN, Login(email, PASSWORD))
    return msgspec.json.decode(answer, type=Tokens).access_token


class _Worker:
    """A runner with a job that lasts as long as anybody wants."""

    def __init__(self, runner: SimulatedRunner, job: HeldJob) -> None:
        self._runner = runner
        self._job = job
        self._has_job = True

    @classmethod
    async def start(cls, person: SimulatedPerson, number: int) -> "_Worker":
        runner = await person.make_runner(f"runner-{number}")
        await person.submit()
        assignment = await runner.next_job(1.0)
        assert assignment is not None, "a job was submitted for it"
        return cls(runner, HeldJob(assignment.id, assignment.lease, 0.0))

    async def work(self, until: float, beats: Beats) -> None:
        """Beat until that moment."""
        while self._has_job and (began := time.perf_counter()) < until:
            status = await self._beat()
            beats.seconds.append(time.perf_counter() - began)
            beats.refused += status == 503
            if status == 409:
                beats.lost += 1
                self._has_job = False
            await asyncio.sleep(max(0.0, began + BEAT_SECONDS - time.perf_counter()))

    async def _beat(self) -> int:
        body = msgspec.json.encode(Heartbeat(self._runner.session, 0.0, self._job))
        async with self._runner.http.post(
            self._runner.url + routes.RUNNER_HEARTBEAT, data=body, headers=self._runner.headers
        ) as answer:
            await answer.read()
            return answer.status


async def _beats(workers: list[_Worker], seconds: float) -> Beats:
    beats = Beats()
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number, worker in enumerate(workers):
            # Not all at once: a fleet's heartbeats are spread over time.
            group.create_task(_later(number * BEAT_SECONDS / RUNNERS, worker, until, beats))
    return beats


async def _later(seconds: float, worker: _Worker, until: float, beats: Beats) -> None:
    await asyncio.sleep(seconds)
    await worker.work(until, beats)


async def _flood(url: str, tokens: list[str], seconds: float) -> Flood:
    """Let another process flood the server meanwhile: this one has latencies to measure."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.overload_flood", url, str(CONNECTIONS), str(seconds),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, _ = await process.communicate("\n".join(tokens).encode())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    counted = json.loads(out)
    return Flood(counted["answered"] / seconds, counted["refused"] / seconds)


def _add(report: Report, mode: str, flood: str, beats: Beats, quiet: Beats, counted: Flood) -> None:
    report.add(
        mode, flood, len(beats.seconds), beats.quantile(50), beats.quantile(99), max(beats.seconds) * 1000,
        beats.quantile(99) / quiet.quantile(99), counted.answered, counted.refused, beats.refused, beats.lost,
    )  # fmt: skip
