"""Renewals of leases: a matter of memory, written at most every quarter of a lease."""

from dataclasses import dataclass

DEFENDED_SECONDS = 3.0
"""How long before a written lease would be taken for lost its later renewal is written, though it was not due."""


@dataclass
class Renewal:
    """Until when a lease is good, and until when the database knows it to be; seconds on this server's clock."""

    lease: int
    until: float
    written_until: float


class Renewals:
    """The renewals of the jobs whose runners talk to this server."""

    def __init__(self, lease_seconds: float) -> None:
        self._seconds = lease_seconds
        self._known: dict[str, Renewal] = {}

    def note(self, job_id: str, lease: int, until: float, written_until: float) -> bool:
        """Note a renewal; tell whether it is time to write it."""
        known = self._known.get(job_id)
        if known is None or known.lease != lease:
            known = self._known[job_id] = Renewal(lease, until, written_until)
        known.until = max(known.until, until)
        return known.until - known.written_until >= self._seconds / 4

    def written(self, job_id: str, lease: int, until: float) -> None:
        """Note that the database knows of a renewal."""
        self._known[job_id] = Renewal(lease, until, until)

    def forget(self, job_id: str) -> None:
        """The job is no longer held here."""
        self._known.pop(job_id, None)

    def to_defend(self, now: float) -> list[tuple[str, Renewal]]:
        """Return the renewals that must be written now, lest others take the lease for lost."""
        self._known = {job_id: each for job_id, each in self._known.items() if each.until > now}
        margin = min(DEFENDED_SECONDS, self._seconds / 4)
        return [
            (job_id, each)
            for job_id, each in self._known.items()
            if each.until > each.written_until and each.written_until - now < margin
        ]
