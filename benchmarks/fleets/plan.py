"""How large the parts of a run are, and where they run."""

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Plan:
    """Sizes of one run. Times are seconds."""

    runners: int = 1000
    rate: float = 50.0
    """Jobs a second."""
    idle_seconds: float = 300.0
    people: int = 500
    working: int = 200
    live_seconds: float = 60.0
    recovered_jobs: int = 100_000
    recovery_rounds: int = 7
    kills: int = 200
    aborts: int = 1000

    @classmethod
    def quick(cls) -> "Plan":
        """Return a run of under a minute with the same load each second, but for the number of idle runners."""
        return cls(
            runners=200,
            idle_seconds=15.0,
            live_seconds=3.0,
            recovered_jobs=5_000,
            recovery_rounds=2,
            kills=5,
            aborts=20,
        )


@dataclass(frozen=True)
class Place:
    """Where a part runs: its folder, how many servers, over which database, pinned to which core."""

    folder: Path
    servers: int = 1
    database_url: str | None = None
    pin: int | None = None
    database: psutil.Process | None = None
    """The database's first process, where this benchmark has started it."""
