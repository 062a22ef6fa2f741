"""What a part counts: times, errors, and the figures that are made of them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import Report

COLUMNS = ("part", "what", "number", "p50 ms", "p95 ms", "p99 ms", "value", "goal", "goal met")
SHOWN_ERRORS = 5


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that ``share`` of them do not exceed (nearest rank); NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Errors:
    """What went wrong on the load's side of the sockets, by what it said."""

    seen: Counter[str] = field(default_factory=Counter)

    def note(self, error: object) -> None:
        """Count ``error``."""
        self.seen[str(error)] += 1

    @property
    def count(self) -> int:
        """How many there were."""
        return self.seen.total()

    def sentences(self) -> list[str]:
        """Return the most frequent ones, each with its number."""
        return [f"{count} times: {what}" for what, count in self.seen.most_common(SHOWN_ERRORS)]


@dataclass(frozen=True)
class Rows:
    """The rows of one part in the report."""

    report: Report
    part: str

    def times(self, what: str, seconds: Sequence[float], *, p99_goal_ms: float | None = None) -> None:
        """Add the percentiles of ``seconds``; without any of them a goal is missed."""
        p50, p95, p99 = (percentile(seconds, share) * 1000 for share in (0.5, 0.95, 0.99))
        goal = None if p99_goal_ms is None else f"p99 < {p99_goal_ms:g} ms"
        met = None if p99_goal_ms is None else p99 < p99_goal_ms
        self.report.add(self.part, what, len(seconds), p50, p95, p99, None, goal, met)

    def value(
        self, what: str, value: float | None, *, most: float | None = None, number: int | None = None
    ) -> None:
        """Add one figure, which should be at most ``most``."""
        goal = None if most is None else f"at most {most:g}"
        met = None if most is None or value is None else value <= most
        self.report.add(self.part, what, number, None, None, None, value, goal, met)

    def errors(self, errors: Errors) -> None:
        """Add how many errors there were, of which there should be none, and say which."""
        self.value("errors", errors.count, most=0)
        self.report.notes += [f"{self.part}: {sentence}" for sentence in errors.sentences()]
