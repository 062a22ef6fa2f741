"""Who is let in when more comes than can be served: pure, so that it can be thought about and tested.

A server that takes everything serves nobody: each request makes all others slower, until runners lose leases
that they renewed in time. So the least urgent are turned away first, while that costs next to nothing, and
what keeps running jobs alive is never turned away.

=========  ============================================================  ================================
urgency    what it is                                                    turned away from
=========  ============================================================  ================================
heavy      lists, submissions, and paths that are none of ours           a quarter of the limits
ordinary   what else people do                                           half of the limits
idle       runners that register or wait for a job                       the limits
working    runners with a job: heartbeats, results, recordings           never
vital      /healthz and /readyz                                          never
=========  ============================================================  ================================
"""

from collections.abc import Callable
from enum import StrEnum

FEW = 32
"""With fewer requests under way it is not they that make the event loop late, and refusing would not help."""


class Urgency(StrEnum):
    """How soon a request is turned away, the first of these first."""

    HEAVY = "heavy"
    ORDINARY = "ordinary"
    IDLE = "idle"
    WORKING = "working"
    VITAL = "vital"


SHARES = {Urgency.HEAVY: 0.25, Urgency.ORDINARY: 0.5, Urgency.IDLE: 1.0}
"""The share of the limits from which each is turned away; what is missing here never is."""


class Admission:
    """Counts the requests under way, and decides about the next one.

    ``most`` is how many may be under way at once, ``longest_lag`` how late the event loop may be (seconds), and
    ``lag`` says how late it is.
    """

    def __init__(self, *, most: int, longest_lag: float, lag: Callable[[], float]) -> None:
        self._most = most
        self._longest_lag = longest_lag
        self._lag = lag
        self._under_way = dict.fromkeys(Urgency, 0)
        self._total = 0

    @property
    def total(self) -> int:
        """How many requests are under way."""
        return self._total

    @property
    def under_way(self) -> dict[Urgency, int]:
        """How many requests of each urgency are under way."""
        return dict(self._under_way)

    def enter(self, urgency: Urgency) -> None:
        """Count a request from now on."""
        self._under_way[urgency] += 1
        self._total += 1

    def leave(self, urgency: Urgency) -> None:
        """Count it no more: it is answered, or it only waits."""
        self._under_way[urgency] -= 1
        self._total -= 1

    def refuses(self, urgency: Urgency) -> bool:
        """Tell whether a request of that urgency is to be turned away just now."""
        share = SHARES.get(urgency)
        if share is None:
            return False
        if self._total >= max(1.0, share * self._most):
            return True
        return self._total >= FEW and self._lag() > share * self._longest_lag
