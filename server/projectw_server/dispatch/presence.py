"""Presence: which runners are there, told by their heartbeats; momentary, so it lives in memory.

What one server knows is written from time to time, all of it at once, for the others and for after a restart.
"""

from dataclasses import dataclass
from math import inf

MISSED_BEATS = 2.5
"""After so many heartbeats that did not come a runner counts as offline."""

WRITTEN_EVERY = 5.0
"""Seconds between two writings."""


@dataclass
class _Seen:
    session: str
    at: float


@dataclass
class _Told:
    written: float
    at: float


class Presence:
    """When each runner was last seen, in which session."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._window = heartbeat_seconds * MISSED_BEATS
        self._seen: dict[str, _Seen] = {}
        self._unwritten: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._told: dict[str, _Told] = {}

    def note(self, runner_id: str, session: str, now: float) -> None:
        """Note that the runner called at ``now``."""
        self._seen[runner_id] = _Seen(session, now)
        self._unwritten[runner_id] = now

    def forget(self, runner_id: str) -> None:
        """The runner said good-bye, or is no longer welcome."""
        self._seen.pop(runner_id, None)
        self._unwritten.pop(runner_id, None)
        self._written.pop(runner_id, None)
        self._told.pop(runner_id, None)

    def take_unwritten(self) -> dict[str, float]:
        """Return who called since this was last asked, and when."""
        taken, self._unwritten = self._unwritten, {}
        self._written |= taken
        return taken

    def last_seen(self, runner_id: str, written: float | None) -> float | None:
        """Return when the runner last called, here or (``written``) as far as the database knows."""
        seen = self._seen.get(runner_id)
        return max((at for at in (seen.at if seen else None, written) if at is not None), default=None)

    def is_online(self, runner_id: str, session: str | None, written: float | None, now: float) -> bool:
        """Tell whether the runner has called lately in its valid session."""
        if session is None:
            return False
        seen = self._seen.get(runner_id)
        here = seen is not None and seen.session == session and now - seen.at <= self._window
        # Another server's word is up to one writing old.
        return here or now - self._told_at(runner_id, written, now) <= self._window + WRITTEN_EVERY

    def _told_at(self, runner_id: str, written: float | None, now: float) -> float:
        """Return when the database began to say ``written``, on this server's clock: the writer's may differ."""
        if written is None or written == self._written.get(runner_id):
            return -inf  # nobody has said anything, or this server itself
        told = self._told.get(runner_id)
        if told is None or told.written != written:
            # What is found at first may be old; what changes under our eyes is new.
            at = min(now, written) if told is None else now
            told = self._told[runner_id] = _Told(written, at)
        return told.at
