"""A large fleet that waits: how soon a job finds its runner, and what the waiting costs."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from benchmarks.fleets.loop_lag import watched
from benchmarks.fleets.members import Runner, Submitter
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.population import Population, opened, populate, server_settings
from benchmarks.fleets.servers import Servers, running
from benchmarks.fleets.tally import Errors, Rows
from benchmarks.fleets.wire import Broken, Refused

WAIT_SECONDS = 15.0
SUBMITTERS = 64
"""Connections that submit by turns: more than can be under way at once at the goal's rate."""

REGISTERING_AT_ONCE = 16
DRAIN_SECONDS = 30.0
"""How long the last jobs may take after the last submission."""

RETRY_SECONDS = 0.5
LATENCY_GOAL_MS, MEMORY_GOAL_MB = 250.0, 400.0


@dataclass
class Seen:
    """What the load has seen, by job. Times are those of ``time.perf_counter``."""

    due: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    assigned: dict[str, float] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    """Assignments of a job that had been assigned before."""
    errors: Errors = field(default_factory=Errors)


async def measure(rows: Rows, place: Place, plan: Plan) -> None:
    """Add the part's rows to the report."""
    settings = server_settings(place.folder / "data", place.database_url)
    async with opened(settings) as (services, _, _):
        population = await populate(services, people=SUBMITTERS, runners=plan.runners)
    with running(
        place.folder, settings, count=place.servers, pin=place.pin, others=place.database
    ) as servers:
        await _load(rows, servers, population, plan)


async def _load(rows: Rows, servers: Servers, population: Population, plan: Plan) -> None:
    ports = itertools.cycle(servers.ports)
    runners = [Runner(next(ports), token) for token in population.runner_tokens]
    submitters = [Submitter(next(ports), person.token) for person in population.people]
    began = time.perf_counter()
    await register(runners)
    rows.value("registrations a second", len(runners) / (time.perf_counter() - began), number=len(runners))
    seen = Seen()
    working = asyncio.gather(*(_work(runner, seen) for runner in runners))
    try:
        # Every runner waits before the first job comes, as a fleet in rest does.
        await asyncio.sleep(min(5.0, plan.idle_seconds / 10))
        own = psutil.Process()
        cpu, own_cpu, database_cpu = servers.cpu_seconds(), own.cpu_times(), servers.database_cpu_seconds()
        began = time.perf_counter()
        async with watched() as late:
            await _submit(submitters, seen, plan)
            await _until_finished(seen)
        seconds = time.perf_counter() - began
        cpu, own_after = servers.cpu_seconds() - cpu, own.cpu_times()
        own_share = (own_after.user + own_after.system - own_cpu.user - own_cpu.system) / seconds
        after = servers.database_cpu_seconds()
        database = None if after is None or database_cpu is None else after - database_cpu
        peak = servers.peak_bytes() / 1e6
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        for each in (*runners, *submitters):
            each.connection.close()
    _report(rows, seen)
    jobs = len(seen.finished) or 1
    rows.value("jobs a second", len(seen.finished) / seconds, number=len(seen.finished))
    rows.value("jobs assigned twice", seen.repeated, most=0)
    rows.value("jobs acknowledged and not finished", len(seen.answered.keys() - seen.finished.keys()), most=0)
    rows.value("server: peak resident memory, MB", peak, most=MEMORY_GOAL_MB)
    rows.value("server: processor time a job, ms", cpu / jobs * 1000)
    rows.value("server: share of a core", cpu / seconds)
    if database is not None:
        rows.value("database: processor time a job, ms", database / jobs * 1000)
        rows.value("server and database: processor time a job, ms", (cpu + database) / jobs * 1000)
    rows.value("load: share of a core", own_share)
    rows.times("load: its own event loop late by", late)
    rows.errors(seen.errors)


async def register(runners: Sequence[Runner]) -> None:
    """Begin a session for each, some at once."""
    left = iter(runners)

    async def some() -> None:
        for runner in left:
            await runner.register()

    await asyncio.gather(*(some() for _ in range(REGISTERING_AT_ONCE)))


async def _work(runner: Runner, seen: Seen) -> None:
    while True:
        try:
            job = await runner.next_job(WAIT_SECONDS)
            if job is None:
                continue
            now = time.perf_counter()
            seen.repeated += job.id in seen.assigned
            seen.assigned.setdefault(job.id, now)
            await runner.finish(job)
            seen.finished[job.id] = time.perf_counter()
        except (Broken, Refused) as error:
            seen.errors.note(error)
            await asyncio.sleep(RETRY_SECONDS)


async def _submit(submitters: Sequence[Submitter], seen: Seen, plan: Plan) -> None:
    """Submit at an even rate, whether or not the server keeps up."""
    free: asyncio.Queue[Submitter] = asyncio.Queue()
    for each in submitters:
        free.put_nowait(each)

    async def one(due: float) -> None:
        submitter = await free.get()
        try:
            job = await submitter.submit()
            seen.answered[job] = time.perf_counter()
            seen.due[job] = due
        except (Broken, Refused) as error:
            seen.errors.note(error)
        finally:
            free.put_nowait(submitter)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(plan.idle_seconds * plan.rate)):
            due = began + number / plan.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))


async def _until_finished(seen: Seen) -> None:
    deadline = time.perf_counter() + DRAIN_SECONDS
    while seen.answered.keys() - seen.finished.keys() and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)


def _report(rows: Rows, seen: Seen) -> None:
    both = seen.answered.keys() & seen.assigned.keys()
    from_answer = [seen.assigned[job] - seen.answered[job] for job in both]
    rows.times("from the submission's answer to the assignment", from_answer, p99_goal_ms=LATENCY_GOAL_MS)
    rows.times("from when it was due to the assignment", [seen.assigned[job] - seen.due[job] for job in both])
    rows.times(
        "from when it was due to the submission's answer",
        [seen.answered[job] - seen.due[job] for job in both],
    )
    ended = seen.finished.keys() & seen.assigned.keys()
    rows.times("from the result to its answer", [seen.finished[job] - seen.assigned[job] for job in ended])
