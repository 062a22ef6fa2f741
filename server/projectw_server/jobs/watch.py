"""Which leases have run out, told without comparing the clocks of two machines.

A lease is renewed by writing a later time into its row. Whoever watches does not ask whether that time is past, for
it was taken from the clock of another server; it takes a lease for lost when the row has stood still for the
length of a lease on its own clock. A watcher that has just begun gives every lease its full length from then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Mark(NamedTuple):
    """What a lease's row says: its number, and until when its writer takes it to be good, in seconds."""

    lease: int
    until: float


@dataclass
class _Seen:
    mark: Mark
    since: float


class LeaseWatch:
    """Watches the leases of all held jobs."""

    def __init__(self, lease_seconds: float) -> None:
        self._seconds = lease_seconds
        self._seen: dict[str, _Seen] = {}

    def note(self, job_id: str, mark: Mark, now: float) -> None:
        """Note what this server itself has just written."""
        self._seen[job_id] = _Seen(mark, now)

    def lost(self, held: Iterable[tuple[str, Mark]], now: float) -> list[str]:
        """Return the ids of those of the ``held`` jobs whose lease has run out at ``now``."""
        seen = {job_id: self._look(self._seen.get(job_id), mark, now) for job_id, mark in held}
        self._seen = seen
        return [job_id for job_id, each in seen.items() if now - each.since > self._seconds]

    @staticmethod
    def _look(before: _Seen | None, mark: Mark, now: float) -> _Seen:
        if before is None or before.mark.lease != mark.lease:
            return _Seen(mark, now)
        if before.mark == mark:
            return before
        # Renewals are written late: one writer's two times are as far apart as the heartbeats that they stand for.
        elapsed = mark.until - before.mark.until
        return _Seen(mark, min(now, max(before.since, before.since + elapsed)))
