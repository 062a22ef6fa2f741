"""Progress: momentary, so it lives in memory; after a restart the runners' next heartbeats bring it back."""

from dataclasses import dataclass

MIN_OBSERVED_SECONDS = 2.0
"""A rate measured over less than this says nothing about the time left."""


@dataclass
class _Course:
    lease: int
    began_at: float
    began_with: float
    at: float
    progress: float


class Progress:
    """How far each running job is, and how long it will still take at the speed seen so far."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def note(self, job_id: str, lease: int, progress: float, now: float) -> bool:
        """Note a runner's word at ``now`` (seconds); tell whether it is news. Progress never goes back."""
        course = self._courses.get(job_id)
        if course is None or course.lease != lease:
            self._courses[job_id] = _Course(lease, now, progress, now, progress)
            return True
        is_news = progress > course.progress
        course.at, course.progress = now, max(progress, course.progress)
        return is_news

    def of(self, job_id: str) -> float | None:
        """Return the progress of a running job, 0 to 1, or None when no heartbeat has told it."""
        course = self._courses.get(job_id)
        return course.progress if course else None

    def eta(self, job_id: str) -> float | None:
        """Return the seconds that a running job will still take, or None while nobody can know."""
        course = self._courses.get(job_id)
        if course is None:
            return None
        seconds, share = course.at - course.began_at, course.progress - course.began_with
        if seconds < MIN_OBSERVED_SECONDS or share <= 0:
            return None
        return round((1 - course.progress) * seconds / share, 1)

    def forget(self, job_id: str) -> None:
        """Drop what is known: the job is no longer held."""
        self._courses.pop(job_id, None)
