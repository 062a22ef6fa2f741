"""Servers that are killed under load, again and again: nothing acknowledged is lost, nothing is done twice."""

import asyncio
import itertools
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.fleets.idle import register
from benchmarks.fleets.members import Runner, Submitter
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.population import Population, opened, populate, server_settings
from benchmarks.fleets.servers import Servers, running
from benchmarks.fleets.tally import Errors, Rows
from benchmarks.fleets.wire import Broken, Refused
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobState
from projectw_shared.messages import Assignment

RUNNERS, SUBMITTERS = 20, 8
WAIT_SECONDS = 5.0
PAUSE_SECONDS = 0.05
"""Between two tries, and between two submissions of one person."""

LIVES = (0.05, 0.6)
"""Seconds, from the server's word that it answers to its end."""

DRAIN_SECONDS = 120.0
"""Longer than a lease: a job may be held by nobody until that runs out."""

EXPECTED = (409, 503)
"""A lease that was lost, a gap, a server that is busy: not errors of the server under kills."""


@dataclass
class Ledger:
    """What was acknowledged to the load."""

    jobs: dict[str, str] = field(default_factory=dict)
    """The job's id by Idempotency-Key."""
    changed_keys: int = 0
    """Keys that were answered with another job when they came again."""
    claims: defaultdict[tuple[str, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Which runners were given a job under a lease."""
    results: defaultdict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    """The accepted results of a job: lease and runner."""
    broken: int = 0
    errors: Errors = field(default_factory=Errors)

    def take_job(self, key: str, job_id: str) -> None:
        """Note that a submission was acknowledged."""
        self.changed_keys += self.jobs.setdefault(key, job_id) != job_id

    @property
    def claimed_twice(self) -> int:
        """How many leases two runners had."""
        return sum(len(runners) > 1 for runners in self.claims.values())

    @property
    def finished_twice(self) -> int:
        """How many jobs had a result accepted from two leases."""
        return sum(len(results) > 1 for results in self.results.values())


async def measure(rows: Rows, place: Place, plan: Plan) -> None:
    """Add the part's rows to the report."""
    settings = server_settings(place.folder / "data", place.database_url)
    async with opened(settings) as (services, _, _):
        population = await populate(services, people=SUBMITTERS, runners=RUNNERS)
    ledger = Ledger()
    with running(place.folder, settings, count=place.servers, pin=place.pin) as servers:
        await _kill(servers, population, ledger, plan.kills, place.pin)
    rows.value("kills", plan.kills)
    rows.value("jobs acknowledged", len(ledger.jobs))
    rows.value("requests broken by a kill", ledger.broken)
    rows.value("keys answered with two jobs", ledger.changed_keys, most=0)
    rows.value("leases given to two runners", ledger.claimed_twice, most=0)
    rows.value("jobs finished twice", ledger.finished_twice, most=0)
    async with opened(settings) as (services, database, _):
        states = {row["id"]: row["state"] for row in await database.rows("SELECT id, state FROM jobs")}
        is_sqlite = services.settings.database.startswith("sqlite")
        checked = await database.rows("PRAGMA integrity_check") if is_sqlite else None
        missing = await _missing(place, [job for job in ledger.jobs.values() if job in states])
    succeeded = [job for job, state in states.items() if state == JobState.SUCCEEDED]
    rows.value("acknowledged jobs that are lost", len(set(ledger.jobs.values()) - states.keys()), most=0)
    rows.value("acknowledged jobs without their recording", missing, most=0)
    rows.value("accepted results that are lost", len(ledger.results.keys() - set(succeeded)), most=0)
    rows.value("jobs that nobody submitted", len(states.keys() - set(ledger.jobs.values())), most=0)
    rows.value("acknowledged jobs that did not end", len(set(ledger.jobs.values()) - set(succeeded)), most=0)
    if checked is not None:
        rows.value("faults that SQLite's integrity_check finds", len(checked) - _is_sound(checked), most=0)
    rows.errors(ledger.errors)


def _is_sound(checked: list[dict[str, str]]) -> bool:
    return [row["integrity_check"] for row in checked] == ["ok"]


async def _missing(place: Place, jobs: list[str]) -> int:
    blobs = place.folder / "data" / "recordings" / "blobs"
    return sum(not (blobs / job[-2:] / job).is_file() for job in jobs)


async def _kill(
    servers: Servers, population: Population, ledger: Ledger, kills: int, pin: int | None
) -> None:
    ports = itertools.cycle(servers.ports)
    runners = [Runner(next(ports), token) for token in population.runner_tokens]
    submitters = [Submitter(next(ports), person.token) for person in population.people]
    await register(runners)
    stopping = asyncio.Event()
    submitting = [asyncio.create_task(_submit(each, ledger, stopping)) for each in submitters]
    working = [asyncio.create_task(_work(n, each, ledger)) for n, each in enumerate(runners)]
    chance = random.Random(kills)
    try:
        for number in range(kills):
            await asyncio.sleep(chance.uniform(*LIVES))
            victim = number % len(servers.ports)
            servers.kill(victim)
            await asyncio.to_thread(servers.restart, victim, pin=pin)
        stopping.set()
        await asyncio.gather(*submitting)
        await _until_finished(ledger)
    finally:
        for task in (*submitting, *working):
            task.cancel()
        await asyncio.gather(*submitting, *working, return_exceptions=True)
        for each in (*runners, *submitters):
            each.connection.close()


async def _submit(submitter: Submitter, ledger: Ledger, stopping: asyncio.Event) -> None:
    """Submit one job after the other, each under its key until it is acknowledged."""
    while not stopping.is_set():
        key = new_id()
        while key not in ledger.jobs:
            try:
                ledger.take_job(key, await submitter.submit(key))
            except (Broken, Refused) as error:
                _note(ledger, error)
            await asyncio.sleep(PAUSE_SECONDS)
        if len(ledger.jobs) % 5 == 0:
            # A client that has lost the answer asks again: it gets the same job.
            try:
                ledger.take_job(key, await submitter.submit(key))
            except (Broken, Refused) as error:
                _note(ledger, error)


async def _work(number: int, runner: Runner, ledger: Ledger) -> None:
    while True:
        try:
            job = await runner.next_job(WAIT_SECONDS)
        except (Broken, Refused) as error:
            _note(ledger, error)
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        if job is not None:
            ledger.claims[job.id, job.lease].add(number)
            await _deliver(number, runner, job, ledger)


async def _deliver(number: int, runner: Runner, job: Assignment, ledger: Ledger) -> None:
    """Deliver a result until it is taken, or the lease is lost."""
    while True:
        try:
            await runner.finish(job)
        except Broken as error:
            _note(ledger, error)
        except Refused as error:
            _note(ledger, error)
            if error.status == 409:
                return
        else:
            ledger.results[job.id].add((job.lease, number))
            return
        await asyncio.sleep(PAUSE_SECONDS)


def _note(ledger: Ledger, error: Broken | Refused) -> None:
    if isinstance(error, Broken):
        ledger.broken += 1
    elif error.status not in EXPECTED:
        ledger.errors.note(error)


async def _until_finished(ledger: Ledger) -> None:
    deadline = time.perf_counter() + DRAIN_SECONDS
    while set(ledger.jobs.values()) - ledger.results.keys() and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
