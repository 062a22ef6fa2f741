"""When waiting jobs will have their turn: the queue played through on the runners that are there.

Each job, in the order of the queue, goes to the runner that is free first among those that can do it. So it would
happen if nothing else came in between: a forecast, made anew every few seconds.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from projectw_server.jobs.order import BYTES_PER_SECOND

OVERHEAD_SECONDS = 1.0
"""What a job takes beside its computing: to be given away, fetched and decoded."""


@dataclass(frozen=True)
class Worker:
    """A runner that takes jobs: what it offers, and in how many seconds it will be free."""

    runner_id: str
    offers: frozenset[str]
    free_in: float


@dataclass(frozen=True)
class Waiting:
    """A job that waits: what it needs, and how many seconds of audio are left to do."""

    job_id: str
    need: str
    seconds: float
    language: str | None = None


@dataclass(frozen=True)
class Turn:
    """When a job begins and ends, in seconds from when the forecast was made; None where nobody can know."""

    begins_in: float | None
    ends_in: float | None


class Speeds:
    """How many seconds of audio a runner does in a second, as far as has been measured."""

    def __init__(self, measured: Iterable[tuple[str, str, str, float]] = ()) -> None:
        self._exact: dict[tuple[str, str, str], float] = {}
        means: dict[tuple[str, str], list[float]] = {}
        for runner_id, model, language, factor in measured:
            self._exact[runner_id, model, language] = factor
            # From what is known most exactly to what is known at all.
            for key in ((runner_id, model), (runner_id, ""), ("", model), ("", "")):
                means.setdefault(key, []).append(factor)
        self._means = {key: sum(factors) / len(factors) for key, factors in means.items()}

    def of(self, runner_id: str, model: str, language: str | None = None) -> float | None:
        """Return the speed of a runner with a model, or what is known that comes closest to it."""
        exact = self._exact.get((runner_id, model, language or ""))
        if exact is not None:
            return exact
        keys = ((runner_id, model), (runner_id, ""), ("", model), ("", ""))
        return next((self._means[key] for key in keys if key in self._means), None)


def audio_seconds(duration: float | None, size: int, done: float = 0.0) -> float:
    """Return how much audio is left to do: by its length when that is known, else by its size in bytes."""
    return max(0.0, (size / BYTES_PER_SECOND if duration is None else duration) - done)


def play(workers: Sequence[Worker], waiting: Iterable[Waiting], speeds: Speeds) -> dict[str, Turn]:
    """Return the turn of each waiting job, by id; ``waiting`` is in the order of the queue.

    A runner whose speed nobody knows is free again nobody knows when.
    """
    heap = [(worker.free_in, n) for n, worker in enumerate(workers)]
    heapq.heapify(heap)
    offered: frozenset[str] = frozenset().union(*(worker.offers for worker in workers))
    turns: dict[str, Turn] = {}
    for job in waiting:
        if job.need not in offered:
            turns[job.job_id] = Turn(None, None)
            continue
        passed = []
        while job.need not in workers[heap[0][1]].offers:
            passed.append(heapq.heappop(heap))
        begins, n = heap[0]
        speed = speeds.of(workers[n].runner_id, model_of(job.need), job.language)
        ends = inf if speed is None else begins + OVERHEAD_SECONDS + job.seconds / speed
        turns[job.job_id] = Turn(_known(begins), _known(ends))
        heapq.heapreplace(heap, (ends, n))
        for each in passed:
            heapq.heappush(heap, each)
    return turns


def _known(seconds: float) -> float | None:
    return None if seconds == inf else seconds


def model_of(need: str) -> str:
    """Return the model under whose name speeds are kept for a need; the stars are one."""
    model = need.partition("@")[0]
    return "*" if model.startswith("*") else model
