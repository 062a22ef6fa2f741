"""Presence: which runners are there, told by their heartbeats; momentary, so it lives in memory."""

from dataclasses import dataclass

MISSED_BEATS = 2.5
"""After so many heartbeats that did not come a runner counts as offline."""


@dataclass
class _Seen:
    session: str
    at: float


class Presence:
    """When each runner was last seen, in which session."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._window = heartbeat_seconds * MISSED_BEATS
        self._seen: dict[str, _Seen] = {}

    def note(self, runner_id: str, session: str, now: float) -> None:
        """Note that the runner called at ``now``."""
        self._seen[runner_id] = _Seen(session, now)

    def forget(self, runner_id: str) -> None:
        """The runner said good-bye, or is no longer welcome."""
        self._seen.pop(runner_id, None)

    def last_seen(self, runner_id: str) -> float | None:
        """Return when the runner last called since this server started, or None."""
        seen = self._seen.get(runner_id)
        return seen.at if seen else None

    def is_online(self, runner_id: str, session: str | None, now: float) -> bool:
        """Tell whether the runner has called lately in its valid session."""
        seen = self._seen.get(runner_id)
        return seen is not None and seen.session == session and now - seen.at <= self._window
