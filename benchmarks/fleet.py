"""Many runners and people at once, servers that are killed, requests that are broken off: does it hold, and how fast.

Real server processes with their shipped settings on loopback; the runners and the people are simulated in this one
process, on a core of its own where there is one server. Its own delays are in the report, for they are no server's.
"""

import argparse
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import uvloop

from benchmarks.fleets import aborts, idle, kills, live, postgres, recovery
from benchmarks.fleets.plan import Place, Plan
from benchmarks.fleets.tally import COLUMNS, Rows
from benchmarks.load import separate_core
from benchmarks.report import Report

PARTS: dict[str, Callable[[Rows, Place, Plan], Awaitable[None]]] = {
    "idle": idle.measure,
    "live": live.measure,
    "recovery": recovery.measure,
    "kills": kills.measure,
    "aborts": aborts.measure,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen."""
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; may be given again")
    parser.add_argument("--servers", type=int, default=1, metavar="N", help="how many share the load")
    database = parser.add_mutually_exclusive_group()
    database.add_argument(
        "--database", metavar="URL", help="an empty PostgreSQL database; for one --part only"
    )
    database.add_argument("--postgres", action="store_true", help="start a PostgreSQL for each part")


def run(quick: bool, options: argparse.Namespace) -> Report:
    """Measure; the whole run takes about twenty minutes."""
    plan = Plan.quick() if quick else Plan()
    check(options)
    report = Report("A fleet: many runners and people, kills and broken requests", COLUMNS)
    for part in options.part or PARTS:
        # The database before the core: it may use all of them.
        with (
            tempfile.TemporaryDirectory(prefix=f"projectw-fleet-{part}-") as folder,
            _database(options) as (url, process),
            _core(options) as core,
        ):
            place = Place(Path(folder), options.servers, url, core, process)
            uvloop.run(PARTS[part](Rows(report, part), place, plan))
    return report


def check(options: argparse.Namespace) -> None:
    """Leave with a sentence when the options contradict one another."""
    if options.servers < 1:
        raise SystemExit("--servers: at least 1")
    if options.servers > 1 and options.database is None and not options.postgres:
        raise SystemExit("--servers: several servers share a PostgreSQL; give --postgres or --database")
    if options.database is not None and len(options.part or PARTS) != 1:
        raise SystemExit("--database: each part needs an empty one, so give one --part")


@contextmanager
def _database(options: argparse.Namespace) -> Iterator[tuple[str | None, psutil.Process | None]]:
    """Yield the database's URL, None for SQLite, and its first process where it was started here."""
    with postgres.cluster() if options.postgres else nullcontext((options.database, None)) as found:
        yield found


@contextmanager
def _core(options: argparse.Namespace) -> Iterator[int | None]:
    """Yield the core for the server; several servers share all cores with the load."""
    if options.servers > 1:
        yield None
        return
    with separate_core() as core:
        yield core
