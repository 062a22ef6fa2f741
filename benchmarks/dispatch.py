"""How soon a submitted job is at a waiting runner, and how many durable jobs a second pass through.

A real server process with its shipped settings (SQLite, synchronous=FULL, a line of log for each request) on
loopback, on a core of its own. Latency is taken one job at a time while every runner waits; polling, as the
simplest alternative, is measured beside it. Throughput is submit, claim and done, three commits a job.
"""

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.load import EMAIL, PASSWORD, Fleet, SimulatedPerson, separate_core
from benchmarks.report import Report
from deploy.installation import Installation

FLEETS = (1, 20, 200)
HELD_SECONDS = 15.0
POLL_SECONDS = 0.5
OLD_POLL_SECONDS = 15.0
"""How often a runner asked in systems that poll with their heartbeat."""

SETTLE_SECONDS = 0.015
"""After a job, so that its runner waits again."""

MEDIAN_GOAL_MS, P99_GOAL_MS, RATE_GOAL = 10.0, 50.0, 100.0


@dataclass
class Delays:
    """Seconds from each submission's request, and from its answer, to the assignment."""

    from_request: list[float]
    from_answer: list[float]
    acknowledged: list[float]
    """Seconds from the request to the answer."""


def run(quick: bool) -> Report:
    """Measure all of it; the whole run takes about two minutes."""
    report = Report(
        "Dispatch: from a submission to a waiting runner, and durable jobs a second",
        ["what", "runners", "jobs", "median ms", "p99 ms", "max ms", "jobs a second", "goal met"],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-dispatch-") as folder, separate_core() as core:
        installation = Installation(Path(folder))
        try:
            installation.add_user(EMAIL, PASSWORD, admin=True)
            installation.serve(pin=core)
            uvloop.run(_measure(report, installation.url, quick))
        finally:
            installation.close()
        jobs = 300 if quick else 2000
        rate = _raw_sqlite(Path(folder) / "raw.sqlite3", jobs)
        report.add(
            "the three commits in plain sqlite3, one process", None, jobs, None, None, None, rate, None
        )
    report.notes += [
        "From the answer: negative where the runner had the job before the submitter had the answer.",
        f"Goals: median {MEDIAN_GOAL_MS:g} ms and p99 {P99_GOAL_MS:g} ms from the answer; "
        f"{RATE_GOAL:g} jobs a second through submit, claim, done.",
        f"Polling every {OLD_POLL_SECONDS:g} s is computed: a job falls anywhere between two questions.",
    ]
    return report


async def _measure(report: Report, url: str, quick: bool) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        person = await SimulatedPerson.sign_in(http, url)
        for count in FLEETS:
            await _with_fleet(person, count, HELD_SECONDS, partial(_latency, report, person, quick))
        # One runner: of several the first to ask would get the job, which flatters polling.
        await _with_fleet(person, 1, 0.0, partial(_polling, report, person, quick))
        report.add(
            f"from the answer, polling every {OLD_POLL_SECONDS:g} s (computed)", 1, None,
            OLD_POLL_SECONDS * 500, OLD_POLL_SECONDS * 990, OLD_POLL_SECONDS * 1000, None, None,
        )  # fmt: skip
        await _with_fleet(person, 8, HELD_SECONDS, partial(_throughput, report, person, quick))


async def _with_fleet(
    person: SimulatedPerson, count: int, wait: float, measure: Callable[[Fleet], Awaitable[None]]
) -> None:
    """Let ``count`` runners work while ``measure`` runs."""
    runners = [await person.make_runner(f"runner-{n}") for n in range(count)]
    fleet = Fleet(runners, wait, pause=POLL_SECONDS)
    working = asyncio.create_task(fleet.work())
    measuring = asyncio.ensure_future(measure(fleet))
    try:
        await asyncio.sleep(0.5)
        await asyncio.wait({working, measuring}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        measuring.result()
    finally:
        for task in (measuring, working):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _latency(report: Report, person: SimulatedPerson, quick: bool, fleet: Fleet) -> None:
    count = len(fleet.runners)
    await _delays(person, fleet, 20)
    delays = await _delays(person, fleet, 150 if quick else 500)
    _add(report, "from the answer to the assignment", count, delays.from_answer, goal=True)
    _add(report, "from the request to the assignment", count, delays.from_request)
    _add(report, "from the request to the answer", count, delays.acknowledged)


async def _polling(report: Report, person: SimulatedPerson, quick: bool, fleet: Fleet) -> None:
    # At any moment between two questions, and not always just after one.
    delays = await _delays(person, fleet, 30 if quick else 100, spread=POLL_SECONDS)
    _add(report, f"from the answer, polling every {POLL_SECONDS:g} s", len(fleet.runners), delays.from_answer)


async def _delays(person: SimulatedPerson, fleet: Fleet, jobs: int, *, spread: float = 0.03) -> Delays:
    """Submit one job after the other, each up to ``spread`` seconds after the last was done."""
    delays = Delays([], [], [])
    for _ in range(jobs):
        finished = fleet.finished
        await asyncio.sleep(SETTLE_SECONDS + random.uniform(0, spread))
        asked = time.perf_counter()
        job = await person.submit()
        answered = time.perf_counter()
        await fleet.until_finished(finished + 1)
        delays.from_request.append(fleet.assigned_at[job] - asked)
        delays.from_answer.append(fleet.assigned_at[job] - answered)
        delays.acknowledged.append(answered - asked)
    return delays


async def _throughput(report: Report, person: SimulatedPerson, quick: bool, fleet: Fleet) -> None:
    jobs, submitters = (400 if quick else 2000), 8
    finished, left = fleet.finished, iter(range(jobs))

    async def submit() -> None:
        for _ in left:
            await person.submit()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(submitters):
            group.create_task(submit())
    await fleet.until_finished(finished + jobs)
    rate = jobs / (time.perf_counter() - began)
    report.add(
        f"submit, claim, done with {submitters} submitters", len(fleet.runners), jobs, None, None, None, rate,
        rate >= RATE_GOAL,
    )  # fmt: skip
    report.notes.append(f"Jobs that were assigned twice: {fleet.repeated}.")


def _add(report: Report, what: str, runners: int, seconds: list[float], *, goal: bool = False) -> None:
    median, p99 = (
        statistics.median(seconds) * 1000,
        statistics.quantiles(seconds, n=100, method="inclusive")[98] * 1000,
    )
    met = (median <= MEDIAN_GOAL_MS and p99 <= P99_GOAL_MS) if goal else None
    report.add(what, runners, len(seconds), median, p99, max(seconds) * 1000, None, met)


def _raw_sqlite(file: Path, jobs: int) -> float:
    """Return the jobs a second of three bare commits each, durable as the server's."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, body TEXT)")
    database.execute("CREATE INDEX queue ON jobs (id) WHERE state = 'queued'")
    began = time.perf_counter()
    for number in range(jobs):
        database.execute("INSERT INTO jobs VALUES (?, 'queued', ?)", (number, "x" * 500))
        database.execute(
            "UPDATE jobs SET state = 'assigned' WHERE id ="
            " (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1)"
        )
        database.execute("UPDATE jobs SET state = 'succeeded' WHERE id = ?", (number,))
    seconds = time.perf_counter() - began
    database.close()
    return jobs / seconds
