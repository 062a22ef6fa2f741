"""Who is let in, who waits and who is turned away when more comes than can be served: pure, so it can be tested.

A server that works on everything at once serves nobody: each request makes all others slower, until runners lose
leases that they renewed in time. So few are worked on at once, some wait for their turn, where they cost nothing,
and the rest is turned away, the least urgent first. What keeps running jobs alive does none of it.

=========  ============================================================  ================================
urgency    what it is                                                    its share of the limits
=========  ============================================================  ================================
heavy      lists, submissions, and paths that are none of ours           a quarter
ordinary   what else people do                                           half
idle       runners that register or wait for a job                       all
working    runners with a job: heartbeats, results, recordings           goes beyond them
vital      /healthz and /readyz                                          goes beyond them
=========  ============================================================  ================================
"""

from collections.abc import Callable
from enum import StrEnum

FEW = 32
"""With fewer requests about it is not they that make the event loop late, and refusing would not help."""


class Urgency(StrEnum):
    """How soon a request has to wait and is turned away, the first of these first."""

    HEAVY = "heavy"
    ORDINARY = "ordinary"
    IDLE = "idle"
    WORKING = "working"
    VITAL = "vital"


SHARES = {Urgency.HEAVY: 0.25, Urgency.ORDINARY: 0.5, Urgency.IDLE: 1.0}
"""The share of the limits that is there for each; what is missing here has none."""


class Admission:
    """Counts the requests under way and those that wait, and decides about the next one.

    ``most`` is how many may be under way at once, ``most_waiting`` how many may wait for that, ``longest_lag`` how late
    the event loop may be (seconds), and ``lag`` says how late it is. ``on_room`` is called when one is done.
    """

    def __init__(self, *, most: int, most_waiting: int, longest_lag: float, lag: Callable[[], float]) -> None:
        self._most = most
        self._most_waiting = most_waiting
        self._longest_lag = longest_lag
        self._lag = lag
        self.under_way = dict.fromkeys(Urgency, 0)
        self.waiting = dict.fromkeys(Urgency, 0)
        self.total = 0
        self.total_waiting = 0
        self.on_room: Callable[[], object] = lambda: None

    def enter(self, urgency: Urgency) -> None:
        """Count a request as under way from now on."""
        self.under_way[urgency] += 1
        self.total += 1

    def leave(self, urgency: Urgency) -> None:
        """Count it no more: it is answered, or it only waits for news or its client."""
        self.under_way[urgency] -= 1
        self.total -= 1
        if self.total_waiting:
            self.on_room()

    def line_up(self, urgency: Urgency) -> None:
        """Count a request that waits for its turn."""
        self.waiting[urgency] += 1
        self.total_waiting += 1

    def leave_line(self, urgency: Urgency) -> None:
        """Count it no more: its turn has come, or it has given up."""
        self.waiting[urgency] -= 1
        self.total_waiting -= 1

    def has_room(self, urgency: Urgency) -> bool:
        """Tell whether a request of that urgency may be worked on just now."""
        share = SHARES.get(urgency)
        return share is None or self.total < max(1.0, share * self._most)

    def refuses(self, urgency: Urgency) -> bool:
        """Tell whether a request of that urgency is to be turned away just now."""
        share = SHARES.get(urgency)
        if share is None:
            return False
        if not self.has_room(urgency) and self.total_waiting >= share * self._most_waiting:
            return True
        return self.total + self.total_waiting >= FEW and self._lag() > share * self._longest_lag


class Pace:
    """How long each refusal is held back, so that a crowd which comes again at once does not come too often.

    Refusing is cheap and not free: seen without this, 800 clients that heeded nothing were refused 4,600 times a
    second, and the server came to nothing else. ``rate`` is how many go out in a second, ``longest`` bounds the delay
    (seconds).
    """

    def __init__(self, *, rate: float, longest: float) -> None:
        self._step = 1 / rate
        self._longest = longest
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds for which the refusal of a request that came at ``now`` is held back."""
        turn = max(now, self._next)
        self._next = min(turn + self._step, now + self._longest)
        return turn - now
