"""How often something may happen for one key within a time, remembered for as many keys as fit."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST_KEYS = 20_000


class Budget:
    """At most ``most`` times in any ``seconds``."""

    def __init__(
        self,
        most: int,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._most_keys = most_keys
        self._spent: OrderedDict[str, deque[float]] = OrderedDict()

    def spend(self, key: str) -> float:
        """Take one and return 0, or take none and return in how many seconds there is one again."""
        now = self._now()
        times = self._spent.setdefault(key, deque())
        self._spent.move_to_end(key)
        while len(self._spent) > self._most_keys:
            self._spent.popitem(last=False)
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if len(times) < self._most:
            times.append(now)
            return 0.0
        return times[0] + self._seconds - now

    def give_back(self, key: str) -> None:
        """Undo the last ``spend``: what was to happen did not."""
        if times := self._spent.get(key):
            times.pop()
