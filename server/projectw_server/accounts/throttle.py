"""How often a wrong password may be tried, so that guessing takes for ever and nobody can lock another out.

Three things are counted, and each count goes down with time:

- wrong passwords for an account from one address. Some are free; after them the next try waits 1, 2, 4 … 300 s.
- wrong passwords for an account from everywhere. When there are many, an address has fewer free ones for it. Nobody
  waits because of what others did: a first try from an address is always looked at.
- wrong passwords from an address for whatever account. When there are many, that address waits, except for an account
  that it has signed in to.

An account is known here by the hash of its address of e-mail, whether or not there is one. A try that comes too early
costs nothing: its password is not looked at. Counted after the fact, so many tries at once all count, and are paid
back by a longer wait. Kept in memory, so each of several servers counts for itself.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from projectw_server.sources import source_of
from projectw_shared.addresses import is_loopback
from projectw_shared.errors import TooManyTries

HOUR = 3600.0
LONGEST_WAIT = 300.0

FREE_FROM_ONE_ADDRESS = 10
FREE_UNDER_ATTACK = 2
ATTACK = 100
"""After so many wrong passwords for an account within about an hour it counts as attacked."""

FREE_OF_AN_ADDRESS = 100

MOST_KEPT = 50_000
"""Of each kind of count, in about 20 MB; those that were touched longest ago are forgotten first. Each costs whoever
wants to press others out a password check."""


class Counts:
    """Counts that go down to nothing within an hour, for at most ``most`` keys."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._found: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def get(self, key: str, *, free: int) -> tuple[float, float]:
        """Return the count, of which ``free`` go down in an hour, and the seconds since the last one."""
        count, at = self._found.get(key, (0.0, float("-inf")))
        elapsed = self._now() - at
        return max(0.0, count - elapsed * free / HOUR), elapsed

    def add(self, key: str, *, free: int) -> None:
        """Count one more."""
        count, _ = self.get(key, free=free)
        self._found[key] = count + 1, self._now()
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def forget(self, key: str) -> None:
        """Let the count be nothing."""
        self._found.pop(key, None)

    def __len__(self) -> int:
        return len(self._found)


class Throttle:
    """The counts, and what follows from them. ``origin`` is an address of the network, or whatever stands for one."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic, most: int = MOST_KEPT) -> None:
        self._pairs = Counts(most, now)
        self._accounts = Counts(most, now)
        self._origins = Counts(most, now)

    def check_account(self, email: str, origin: str) -> None:
        """Raise TooManyTries when a try for the account from there comes too early."""
        account = key_of(email)
        attacked = self._accounts.get(account, free=ATTACK)[0] >= ATTACK - 0.5
        free = FREE_UNDER_ATTACK if attacked else FREE_FROM_ONE_ADDRESS
        count, elapsed = self._pairs.get(account + source_of(origin), free=FREE_FROM_ONE_ADDRESS)
        _refuse_early(round(count) - free, elapsed)

    def check_origin(self, origin: str) -> None:
        """Raise TooManyTries when a try from there, for whatever account, comes too early."""
        # All the world may be behind loopback: a proxy here that does not tell whose request it is.
        if not is_loopback(origin):
            count, elapsed = self._origins.get(source_of(origin), free=FREE_OF_AN_ADDRESS)
            _refuse_early(round(count) - FREE_OF_AN_ADDRESS, elapsed)

    def failed(self, email: str, origin: str) -> None:
        """Count a wrong password."""
        account, place = key_of(email), source_of(origin)
        self._pairs.add(account + place, free=FREE_FROM_ONE_ADDRESS)
        self._accounts.add(account, free=ATTACK)
        self._origins.add(place, free=FREE_OF_AN_ADDRESS)

    def succeeded(self, email: str, origin: str) -> None:
        """Forget the wrong passwords for the account from there: whoever knows the right one mistyped it."""
        self._pairs.forget(key_of(email) + source_of(origin))


def key_of(email: str) -> str:
    """Return what stands for an address of e-mail where the address itself should not be kept."""
    return hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _refuse_early(excess: int, elapsed: float) -> None:
    """Raise TooManyTries unless ``elapsed`` seconds are enough after ``excess`` more than are free."""
    if excess < 0:
        return
    wait = min(LONGEST_WAIT, 2.0 ** min(excess, 32)) - elapsed
    if wait > 0:
        seconds = math.ceil(wait)
        raise TooManyTries(
            f"Too many wrong passwords; try again in {seconds} s, or reset the password", retry_after=seconds
        )
