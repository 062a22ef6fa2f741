"""The servers under measurement: one or several processes over one database, with their time and memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.processes import peak_of
from deploy.installation import Installation
from deploy.programs import Program


class Servers:
    """Server processes that share their data directory and their database."""

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], count: int, *, others: psutil.Process | None
    ) -> None:
        """``others`` is a database's first process, whose processor time is counted as well."""
        self._installations = []
        self._others = others
        self._programs: list[Program] = []
        for number in range(count):
            place = folder / f"server-{number}"
            place.mkdir(exist_ok=True)
            self._installations.append(Installation(place, server=settings))

    def start(self, *, pin: int | None = None) -> None:
        """Start all of them and return when each says that it answers; again on the same ports."""
        self._programs = [installation.serve(pin=pin) for installation in self._installations]

    @property
    def ports(self) -> list[int]:
        """Where they listen."""
        return [int(installation.url.rpartition(":")[2]) for installation in self._installations]

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [program.pid for program in self._programs]

    def cpu_seconds(self) -> float:
        """Return the processor time of all of them so far."""
        return sum(_cpu(psutil.Process(pid)) for pid in self.pids)

    def database_cpu_seconds(self) -> float | None:
        """Return the processor time of the database's processes so far, None where they are not ours to see."""
        if self._others is None:
            return None
        total = _cpu(self._others)
        # Those that have ended are counted by their parent.
        with suppress(psutil.NoSuchProcess):
            times = self._others.cpu_times()
            total += times.children_user + times.children_system
        for child in self._others.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += _cpu(child)
        return total

    def peak_bytes(self) -> int:
        """Return the highest resident memory that one of them has had."""
        return max(peak_of(pid) for pid in self.pids)

    def kill(self, number: int = 0) -> None:
        """Kill one as a loss of power would."""
        self._programs[number].kill()

    def restart(self, number: int = 0, *, pin: int | None = None) -> None:
        """Start one that was killed and return when it says that it answers."""
        self._programs[number] = self._installations[number].serve(pin=pin)

    def close(self) -> None:
        """End all of them."""
        for installation in self._installations:
            installation.close()


@contextmanager
def running(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    count: int = 1,
    pin: int | None = None,
    others: psutil.Process | None = None,
) -> Iterator[Servers]:
    """Run ``count`` servers meanwhile."""
    servers = Servers(folder, settings, count, others=others)
    try:
        servers.start(pin=pin)
        yield servers
    finally:
        servers.close()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
