"""The moves of jobs as numbers: how long they wait, how long they take, and how attempts fail."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.moves import Moved
from projectw_server.jobs.records import settings_of
from projectw_shared.jobs import JobState

WAITING_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
RUNNING_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0)
SPEED_BUCKETS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)

RUNNERS_CODES = frozenset(
    {
        "audio-corrupt",
        "audio-missing",
        "decoder-broken",
        "decoder-missing",
        "download-failed",
        "media-limits",
        "model-damaged",
        "model-missing",
        "no-audio",
        "out-of-memory",
        "runner-disk",
        "runner-error",
        "runner-lost",
        "too-long",
        "unsupported-media",
    }
)
"""The codes that our runners send; another's words become "other", for they are without bound."""

FAILURES = (Event.FAILED, Event.FAILED_FOR_NOW, Event.LEASE_EXPIRED)


class MoveMetrics:
    """Counts each move once it is committed, at the server that made it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._submitted = Counter("projectw_jobs_submitted", "Jobs submitted", registry=registry)
        self._finished = Counter(
            "projectw_jobs_finished", "Jobs that came to an end, by the end", ["state"], registry=registry
        )
        self._waiting = Histogram(
            "projectw_job_waiting_seconds",
            "Time from the submission of a job to its first assignment",
            buckets=WAITING_BUCKETS,
            registry=registry,
        )
        self._running = Histogram(
            "projectw_job_running_seconds",
            "Time that the last attempt of a job took, by the job's end",
            ["state"],
            buckets=RUNNING_BUCKETS,
            registry=registry,
        )
        self._speed = Histogram(
            "projectw_job_real_time_factor",
            "Seconds of audio in a second of running, in the attempt that succeeded, by model",
            ["model"],
            buckets=SPEED_BUCKETS,
            registry=registry,
        )
        self._failed = Counter(
            "projectw_attempts_failed",
            "Attempts that failed, by the error's code",
            ["code"],
            registry=registry,
        )
        self._lost = Counter(
            "projectw_leases_lost", "Leases that ended without a word from their runner", registry=registry
        )

    def note(self, moved: Moved) -> None:
        """Count one move."""
        after = JobState(moved.after["state"])
        if moved.event is None:
            self._submitted.inc()
        elif moved.event is Event.CLAIMED and moved.after["lease"] == 1:
            self._waiting.observe(max(0.0, moved.at - moved.after["created_at"]))
        if after.is_over and (moved.before is None or moved.before["state"] != after):
            self._note_end(moved, after)
        if moved.event in FAILURES:
            self._note_failure(moved, after)

    def _note_end(self, moved: Moved, after: JobState) -> None:
        self._finished.labels(after.value).inc()
        row = moved.after
        if row["started_at"] is None:
            return
        seconds = max(0.0, row["finished_at"] - row["started_at"])
        self._running.labels(after.value).observe(seconds)
        if after is JobState.SUCCEEDED and row["duration"] and seconds > 0:
            done = row["duration"] - row["resumed_from"]
            self._speed.labels(settings_of(row).model or "default").observe(done / seconds)

    def _note_failure(self, moved: Moved, after: JobState) -> None:
        if moved.event is Event.LEASE_EXPIRED:
            self._lost.inc()
        if moved.error is not None and after is not JobState.CANCELLED:
            code = moved.error.code
            self._failed.labels(code if code in RUNNERS_CODES else "other").inc()
