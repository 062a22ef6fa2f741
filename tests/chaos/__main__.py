"""``python -m tests.chaos``: play seeded scenarios for a while, and say what was tried and what came of it.

Leaves with 0 when every invariant held, with 1 when one did not; then the seed, the scenario and the folder with its
history and logs are printed. ``docs/chaos.md`` tells how to read them.
"""

import argparse
import asyncio
import itertools
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.postgres import Postgres
from tests.chaos.deployment import prepare
from tests.chaos.equipment import Missing
from tests.chaos.faults import Fault
from tests.chaos.occasions import celebrate
from tests.chaos.plan import Scenario, endless, every_pair, scenario
from tests.chaos.stage import perform
from tests.chaos.table import HELD, NOT_REACHED, VIOLATED, WHOLE_JOB, Table


@dataclass
class Run:
    """What happened so far."""

    table: Table = field(default_factory=Table)
    failures: list[dict[str, Any]] = field(default_factory=list)
    played: int = 0

    async def play(self, each: Scenario, folder: Path, options: dict[str, Any]) -> str:
        """Play one scenario, note what came of it, and return that in a word."""
        try:
            if each.occasion is not None:
                reached, wrong = (), await celebrate(folder, each.occasion, each.seed, **options)
            else:
                outcome = await perform(folder, each.steps, each.seed, **options)
                reached, wrong = outcome.reached, list(outcome.violations)
        except Missing as missing:
            for step in each.steps:
                self.table.skip(step.fault, step.point, str(missing))
            return "skipped"
        except (
            Exception
        ) as error:  # whatever goes wrong is a finding, and the next scenario stands on its own
            reached, wrong = each.steps, [f"{type(error).__name__}: {error}"]
            (folder / "traceback").write_text(traceback.format_exc())
        self.played += 1
        for step in each.steps:
            told = VIOLATED if wrong else HELD if step in reached else NOT_REACHED
            self.table.note(step.fault, step.point, told)
        if each.occasion is not None:
            self.table.note(each.occasion, WHOLE_JOB, VIOLATED if wrong else HELD)
        if wrong:
            self.failures.append(
                {"scenario": str(each), "seed": each.seed, "folder": str(folder), "violations": wrong}
            )
        return "BAD" if wrong else "ok"


def main() -> int:
    """Run the command line."""
    wish = _arguments()
    faults = [Fault(name.strip()) for name in wish.faults.split(",")] if wish.faults else list(Fault)
    # asyncio ends a run in good order at SIGINT alone; the programs are to be ended too, not left.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    run = Run()
    with suppress(KeyboardInterrupt), _ground(wish) as options_of_next:
        _play(run, wish, faults, options_of_next)
    print(f"\nseed {wish.seed}: {run.played} scenarios, {len(run.failures)} with violations")
    print(*run.table.lines(), sep="\n")
    if wish.json:
        document = {
            "seed": wish.seed,
            "scenarios": run.played,
            "rows": run.table.rows(),
            "failures": run.failures,
        }
        wish.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if run.failures else 0


@contextmanager
def _ground(wish: argparse.Namespace) -> Iterator[Callable[[], dict[str, Any]]]:
    """Return what gives the options of each deployment."""
    if wish.database == "postgres":
        numbers = itertools.count()
        with closing(Postgres(durable=True)) as found:
            yield lambda: {"servers": wish.servers, "database_url": found.create(f"chaos_{next(numbers)}")}
        return
    with tempfile.TemporaryDirectory(prefix="chaos-prepared-") as folder:
        prepared = prepare(Path(folder))
        yield lambda: {"servers": wish.servers, "prepared": prepared}


def _play(
    run: Run, wish: argparse.Namespace, faults: list[Fault], options: Callable[[], dict[str, Any]]
) -> None:
    deadline = time.monotonic() + wish.minutes * 60
    for each in _scenarios(wish, faults):
        if time.monotonic() > deadline:
            break
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{wish.seed}-{each.number}-"))
        began = time.monotonic()
        told = asyncio.run(run.play(each, folder, options()))
        print(f"{time.monotonic() - began:5.1f} s  {told:<7}  {each}", flush=True)
        if told == "BAD":
            _complain(wish, each, run.failures[-1])
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _scenarios(wish: argparse.Namespace, faults: list[Fault]) -> Iterable[Scenario]:
    if wish.only is None:
        return every_pair(faults) if wish.every else endless(wish.seed, faults)
    one = every_pair(faults)[wish.only] if wish.every else scenario(wish.seed, wish.only, faults)
    return itertools.repeat(one, wish.times)


def _complain(wish: argparse.Namespace, each: Scenario, failure: dict[str, Any]) -> None:
    print(f"  seed {wish.seed}, scenario {each}")
    print(*(f"  {wrong}" for wrong in failure["violations"]), sep="\n")
    print(f"  history and logs: {failure['folder']}")
    words = ["--seed", str(wish.seed), "--database", wish.database, "--servers", str(wish.servers)]
    words += ["--every"] if wish.every else []
    words += ["--faults", wish.faults] if wish.faults else []
    print(f"  again: python -m tests.chaos {shlex.join([*words, '--only', str(each.number)])}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what the scenarios are drawn by")
    parser.add_argument("--minutes", type=float, default=10, help="no scenario begins after so long")
    parser.add_argument(
        "--database", choices=("sqlite", "postgres"), default="sqlite", help="what is under them"
    )
    parser.add_argument("--servers", type=int, default=1, help="how many servers share it (SQLite: 1)")
    parser.add_argument("--faults", help="only these, with commas between: " + ", ".join(Fault))
    parser.add_argument(
        "--every", action="store_true", help="each fault at each point once, instead of by chance"
    )
    parser.add_argument("--only", type=int, metavar="K", help="only scenario K of the seed")
    parser.add_argument("--times", type=int, default=1, help="with --only: so often")
    parser.add_argument("--json", type=Path, help="write the table and the failures there")
    wish = parser.parse_args()
    if wish.servers != 1 and wish.database == "sqlite":
        parser.error("several servers need --database postgres: SQLite is for one")
    if unknown := {name.strip() for name in (wish.faults or Fault.CUT).split(",")} - set(Fault):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; the faults are {', '.join(Fault)}")
    return wish


if __name__ == "__main__":
    sys.exit(main())
