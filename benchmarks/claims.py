"""How the time of a claim, of a place in the queue and of a list grows with the number of queued jobs.

In one process, without HTTP: the services of the server over SQLite as it ships (WAL, synchronous=FULL). The
jobs belong to many users and stand in several priorities.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.api.context import EXTENSION, Services
from projectw_server.app import create_app
from projectw_server.db import Database, open_database
from projectw_server.jobs.claiming import Holder
from projectw_server.settings import ServerSettings
from projectw_shared.ids import new_id
from projectw_shared.messages import Registration

SIZES = (100, 100_000)
USERS = 200
PRIORITIES = (-2, -1, 0)
MAX_RATIO = 2.0
"""How much longer a claim may take with the most jobs than with the fewest."""


@dataclass
class Filled:
    """A server's services over a queue of a known length."""

    services: Services
    holder: Holder
    person: Person
    """One of the users."""
    last: str
    """The id of one of that user's jobs, far back in the queue."""


def run(quick: bool) -> Report:
    """Measure; about a minute, most of which is filling the queues."""
    report = Report(
        "The queue with few and with many jobs",
        ["what", "queued", "times", "median ms", "p90 ms", "ratio of medians", "goal met"],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-claims-") as folder:
        asyncio.run(_measure(report, Path(folder), rounds=2 if quick else 5, times=50 if quick else 100))
    report.notes += [
        f"{USERS} users, priorities {PRIORITIES}. Goal: a claim takes at most {MAX_RATIO:g} times as long.",
        "A claim is one transaction with its commit; the job is handed back before the next one.",
    ]
    return report


async def _measure(report: Report, folder: Path, *, rounds: int, times: int) -> None:
    taken: dict[tuple[str, int], list[float]] = {}
    for size in SIZES:
        await _fill(folder / str(size), size)
    # By turns, so that whatever else the machine does befalls both.
    for _ in range(rounds):
        for size in SIZES:
            async with _opened(folder / str(size)) as filled:
                for what, action in _actions(filled).items():
                    taken.setdefault((what, size), []).extend(await _times(action, times))
    for (what, size), seconds in sorted(taken.items()):
        ratio = statistics.median(seconds) / statistics.median(taken[what, SIZES[0]])
        report.add(
            what,
            size,
            len(seconds),
            statistics.median(seconds) * 1000,
            statistics.quantiles(seconds, n=10)[8] * 1000,
            ratio,
            ratio <= MAX_RATIO if what == "claim" else None,
        )


def _actions(filled: Filled) -> dict[str, Callable[[], Awaitable[float]]]:
    services = filled.services

    async def claim() -> float:
        began = time.perf_counter()
        assignment = await services.leases.claim(filled.holder)
        seconds = time.perf_counter() - began
        assert assignment is not None
        await services.leases.hand_back(assignment.id, assignment.lease)
        return seconds

    async def timed(action: Awaitable[Any]) -> float:
        began = time.perf_counter()
        await action
        return time.perf_counter() - began

    return {
        "claim": claim,
        "one job with its place": lambda: timed(services.jobs.get(filled.person, filled.last)),
        "first page of a list": lambda: timed(
            services.jobs.page(filled.person, states=[], text=None, limit=50, cursor=None)
        ),
    }


async def _times(action: Callable[[], Awaitable[float]], times: int) -> list[float]:
    for _ in range(5):
        await action()
    return [await action() for _ in range(times)]


@asynccontextmanager
async def _services(home: Path) -> AsyncIterator[tuple[Services, Database]]:
    settings = ServerSettings(data_dir=home, min_free_bytes=0)
    async with open_database(settings.database) as database:
        services: Services = create_app(settings, database).extensions[EXTENSION]
        yield services, database


@asynccontextmanager
async def _opened(home: Path) -> AsyncIterator[Filled]:
    async with _services(home) as (services, database):
        created = await services.runner_tokens.create("runner")
        runner = RunnerIdentity(created.id, created.name)
        session = await services.fleet.register(runner, Registration("runner", "1", "none", "none", []))
        row = await database.row("SELECT id, owner_id FROM jobs ORDER BY rank DESC, start_tag DESC LIMIT 1")
        assert row is not None
        yield Filled(
            services,
            Holder(runner.id, session.session, runner.name, "1"),
            Person(row["owner_id"], "", is_admin=False, created_at=0.0),
            row["id"],
        )


async def _fill(home: Path, size: int) -> None:
    """Make a database with ``size`` queued jobs, written directly: through the doors it would take an hour."""
    home.mkdir(mode=0o700)
    chance = random.Random(size)
    async with _services(home) as (_, database):
        users = [new_id() for _ in range(USERS)]

        async def work(transaction: Any) -> None:
            await transaction.many(
                "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
                " VALUES ($1, $1, '', FALSE, FALSE, 0)",
                [[user] for user in users],
            )
            await transaction.many(
                "INSERT INTO jobs (id, owner_id, file_name, media_type, bytes, sha256, settings, state,"
                " cancel_requested, rank, start_tag, finish_tag, attempts, lease, segment_count, resume_at,"
                " created_at, revision) VALUES ($1, $2, 'talk.wav', 'audio/wav', 1000000, $3, '{}', 'queued',"
                " FALSE, $4, $5, $5, 0, 0, 0, 0, 0, $6)",
                [
                    [
                        new_id(),
                        chance.choice(users),
                        "0" * 64,
                        -chance.choice(PRIORITIES),
                        chance.uniform(0, 1e9),
                        number + 1,
                    ]
                    for number in range(size)
                ],
            )
            await transaction.next_change(size)

        await database.transaction(work)
        await database.checkpoint()
