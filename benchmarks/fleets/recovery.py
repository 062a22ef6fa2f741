"""A server that was killed over a table full of jobs: how soon it answers again."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.fleets.members import Submitter
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.population import Member, fill, opened, populate, server_settings
from benchmarks.fleets.servers import running
from benchmarks.fleets.tally import Rows
from benchmarks.fleets.wire import Broken, Connection, request_of
from benchmarks.processes import free_port
from deploy.installation import environment
from deploy.programs import SCRIPTS, Program
from projectw_shared import routes

HELD = 200
PEOPLE = 200
FRESH_JOBS = 200
"""Submitted just before the kill, so that SQLite's write-ahead log is not empty."""

LOOK_SECONDS = 0.002
START_SECONDS = 60.0
MAX_RATIO, MAX_SECONDS = 2.0, 3.0


async def measure(rows: Rows, place: Place, plan: Plan) -> None:
    """Add the part's rows to the report."""
    settings = server_settings(place.folder / "data", place.database_url)
    async with opened(settings) as (services, database, _):
        population = await populate(services, people=PEOPLE, runners=0)
        await fill(population.people, plan.recovered_jobs, held=HELD)
        await database.checkpoint()
        url = services.settings.database
    ours: list[float] = []
    bare: list[float] = []
    with running(place.folder, settings, pin=place.pin) as servers:
        (port,) = servers.ports
        config = place.folder / "server-0" / "server.yaml"
        command = [SCRIPTS / "projectw-server", "--config", config, "serve", "--port", str(port)]
        # By turns, so that whatever else the machine does befalls both.
        for _ in range(plan.recovery_rounds):
            await _submit(port, population.people)
            servers.kill()
            other = free_port()
            words = [sys.executable, "-m", "benchmarks.fleets.bare_server", url, str(other)]
            bare.append(await _start(words, other, place, place.folder / "bare.log"))
            ours.append(await _start(command, port, place, place.folder / "timed.log"))
            servers.restart(pin=place.pin)
    rows.times("killed server, from its start to /readyz", ours)
    rows.times("bare Quart and Tortoise over the same file", bare)
    rows.value("killed server: median, s", median(ours), most=MAX_SECONDS, number=plan.recovered_jobs)
    rows.value("times the bare start", median(ours) / median(bare), most=MAX_RATIO)
    rows.report.notes.append(
        f"recovery: the goal is one of the two, {MAX_RATIO:g} times the bare start or {MAX_SECONDS:g} s."
    )


async def _submit(port: int, people: Sequence[Member]) -> None:
    for number in range(FRESH_JOBS):
        submitter = Submitter(port, people[number % len(people)].token)
        await submitter.submit()
        submitter.connection.close()


async def _start(words: Sequence[str | Path], port: int, place: Place, log: Path) -> float:
    """Return the seconds from the start of a program to its first good answer, and kill it."""
    connection = Connection(port)
    began = time.perf_counter()
    program = Program(words, log, environment=environment(), pin=place.pin)
    try:
        while not await _is_ready(connection):
            program.expect_running()
            if time.perf_counter() - began > START_SECONDS:
                raise RuntimeError(f"not ready within {START_SECONDS:g} s; {log} says why")
            await asyncio.sleep(LOOK_SECONDS)
        return time.perf_counter() - began
    finally:
        connection.close()
        program.kill()


async def _is_ready(connection: Connection) -> bool:
    try:
        return (await connection.send(request_of("GET", routes.READY))).status == 200
    except Broken:
        return False
