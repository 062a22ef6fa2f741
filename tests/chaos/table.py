"""What a run has tried and what came of it, fault by fault and point by point."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

HELD, NOT_REACHED, VIOLATED, SKIPPED = "held", "not reached", "VIOLATED", "skipped"
WHOLE_JOB = "the whole job"


class Table:
    """Counts outcomes; ``reasons`` say why something was skipped."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.reasons: set[str] = set()

    def note(self, fault: str, point: str, outcome: str) -> None:
        """Count one."""
        self._counts[fault, point][outcome] += 1

    def skip(self, fault: str, point: str, reason: str) -> None:
        """Count one that this machine cannot do."""
        self.note(fault, point, SKIPPED)
        self.reasons.add(reason)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each fault at each point."""
        return [
            {"fault": fault, "point": point, "times": counts.total(), "outcomes": dict(counts)}
            for (fault, point), counts in sorted(self._counts.items())
        ]

    def lines(self) -> Iterable[str]:
        """Yield the table as text."""
        widths = [max([len(row[name]) for row in self.rows()] + [5]) for name in ("fault", "point")]
        yield f"{'fault':<{widths[0]}}  {'point':<{widths[1]}}  times  outcome"
        for row in self.rows():
            told = ", ".join(f"{count} {name}" for name, count in sorted(row["outcomes"].items()))
            yield f"{row['fault']:<{widths[0]}}  {row['point']:<{widths[1]}}  {row['times']:>5}  {told}"
        for reason in sorted(self.reasons):
            yield f"skipped: {reason}"
