"""What can be said of a job beyond its row: how far it is, how long it will take, and why it waits.

All of it is momentary, and is looked at from memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from projectw_server.db import Row
from projectw_server.jobs.forecast import Turn
from projectw_server.jobs.needs import in_words
from projectw_server.jobs.progress import Progress
from projectw_shared.messages import WaitingFor


@dataclass(frozen=True)
class Listed:
    """A runner as the roster knows it."""

    runner_id: str
    offers: frozenset[str]
    is_online: bool
    takes_jobs: bool
    """Neither cordoned nor draining."""

    @property
    def is_ready(self) -> bool:
        """It is there and takes jobs."""
        return self.is_online and self.takes_jobs


@dataclass
class Outlook:
    """What this server knows of runners and of the queue, as of a few seconds ago."""

    progress: Progress
    runners: list[Listed] = field(default_factory=list)
    turns: Mapping[str, Turn] = field(default_factory=dict)
    made_at: float = 0.0
    """When ``turns`` were forecast, in seconds."""

    def ready(self) -> list[Listed]:
        """Return the runners that are there and take jobs."""
        return [runner for runner in self.runners if runner.is_ready]

    def why(self, row: Row, position: int | None) -> WaitingFor:
        """Say what a queued job waits for."""
        return self.obstacle(row["needs"]) or _in_line(position)

    def obstacle(self, need: str) -> WaitingFor | None:
        """Say why nobody can do a job that needs ``need``, or return None when somebody can."""
        if any(need in runner.offers for runner in self.ready()):
            return None
        if not any(runner.is_online for runner in self.runners):
            return WaitingFor("no-runner", "no runner is online")
        able = [runner for runner in self.runners if need in runner.offers]
        words = in_words(need)
        if not able:
            return WaitingFor("no-capable-runner", f"no runner offers {words}")
        if any(runner.is_online for runner in able):
            return WaitingFor("cordoned", f"the runners that offer {words} take no new jobs")
        return WaitingFor("offline", f"the runners that offer {words} are not online")

    def ends_in(self, job_id: str, now: float) -> float | None:
        """Return the seconds until a waiting job will be done, or None while nobody can know."""
        turn = self.turns.get(job_id)
        if turn is None or turn.ends_in is None:
            return None
        return round(max(0.0, turn.ends_in - (now - self.made_at)), 1)


def _in_line(position: int | None) -> WaitingFor:
    if position is None or position <= 1:
        return WaitingFor("busy", "it is the next, as soon as a runner is free")
    before = position - 1
    return WaitingFor("busy", f"{before} {'job is' if before == 1 else 'jobs are'} before it")
