"""The census: what the database and the fleet say at the moment of a scrape."""

from dataclasses import dataclass

from projectw_server.clock import Clock
from projectw_server.db import Database
from projectw_server.dispatch.fleet import Fleet
from projectw_server.jobs.order import BYTES_PER_SECOND
from projectw_server.jobs.service import Jobs
from projectw_shared.jobs import JobState
from projectw_shared.messages import RunnerInfo


@dataclass(frozen=True)
class Census:
    """Figures of one moment. ``runners`` are counted by state, and one may be in several."""

    jobs: dict[JobState, int]
    audio_seconds: float
    oldest_age: float
    runners: dict[str, int]
    known: int


class CensusTaker:
    """Takes the census, from indexes that hold nothing but what is counted."""

    def __init__(self, database: Database, jobs: Jobs, fleet: Fleet, clock: Clock) -> None:
        self._database = database
        self._jobs = jobs
        self._fleet = fleet
        self._clock = clock

    async def take(self) -> Census:
        """Return the figures of now."""
        jobs = await self._jobs.counts()
        # All of it stands in the index jobs_waiting: 12 ms for 100,000 jobs that wait, and 200 ms without it.
        waiting = await self._database.row(
            f"SELECT SUM(COALESCE(duration, bytes / {BYTES_PER_SECOND:.1f})) AS seconds,"  # noqa: S608  a number of ours
            " MIN(created_at) AS oldest FROM jobs WHERE state = 'queued'"
        )
        assert waiting is not None, "an aggregate gives a row"
        oldest = waiting["oldest"]
        runners = (await self._fleet.overview()).runners
        return Census(
            jobs=jobs,
            audio_seconds=float(waiting["seconds"] or 0.0),
            oldest_age=0.0 if oldest is None else max(0.0, self._clock.now() - oldest),
            runners=by_state(runners),
            known=len(runners),
        )


def by_state(runners: list[RunnerInfo]) -> dict[str, int]:
    """Return how many runners are in each state: working and idle ones are online; an idle one could take a job."""
    free = [each for each in runners if each.online and each.job is None]
    return {
        "online": sum(each.online for each in runners),
        "offline": sum(not each.online for each in runners),
        "working": sum(each.online and each.job is not None for each in runners),
        "idle": sum(not (each.cordoned or each.draining) for each in free),
        "cordoned": sum(each.cordoned for each in runners),
        "draining": sum(each.draining for each in runners),
    }
