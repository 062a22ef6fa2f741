"""From a row of the jobs table to the job as its owner sees it."""

import msgspec

from projectw_server.clock import moment
from projectw_server.db import Row
from projectw_server.jobs.lifecycle import Standing
from projectw_server.jobs.outlook import Outlook
from projectw_server.jobs.progress import Progress
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import Job, JobError, RunnerRef


def to_job(row: Row, outlook: Outlook, position: int | None, now: float) -> Job:
    """Return the job of ``row``, with what only memory knows of it at ``now`` (seconds)."""
    state = JobState(row["state"])
    created_at = moment(row["created_at"])
    assert created_at is not None
    return Job(
        id=row["id"],
        file_name=row["file_name"],
        bytes=row["bytes"],
        duration=row["duration"],
        state=state,
        cancel_requested=bool(row["cancel_requested"]),
        progress=_progress(row, state, outlook.progress),
        position=position if state is JobState.QUEUED else None,
        eta=_eta(row, state, outlook, now),
        settings=settings_of(row),
        language=row["language"],
        runner=runner_of(row),
        attempts=row["attempts"],
        error=JobError(row["error_code"], row["error_message"]) if row["error_code"] else None,
        created_at=created_at,
        started_at=moment(row["started_at"]),
        finished_at=moment(row["finished_at"]),
        revision=row["revision"],
        waiting=outlook.why(row, position) if state is JobState.QUEUED else None,
    )


def settings_of(row: Row) -> JobSettings:
    """Return the settings that the job was submitted with."""
    return msgspec.json.decode(row["settings"], type=JobSettings)


def standing_of(row: Row) -> Standing:
    """Return as much of the row as the state machine looks at."""
    return Standing(JobState(row["state"]), row["attempts"], bool(row["cancel_requested"]))


def _progress(row: Row, state: JobState, progress: Progress) -> float:
    if state is JobState.SUCCEEDED:
        return 1.0
    told = progress.of(row["id"]) if state.is_held else None
    if told is not None:
        return told
    # What is stored is what another runner would not have to do again.
    return min(1.0, row["resume_at"] / row["duration"]) if row["duration"] else 0.0


def _eta(row: Row, state: JobState, outlook: Outlook, now: float) -> float | None:
    if state.is_held:
        return outlook.progress.eta(row["id"])
    return outlook.ends_in(row["id"], now) if state is JobState.QUEUED else None


def runner_of(row: Row) -> RunnerRef | None:
    """Return who works or worked on the job."""
    if row["runner_id"] is None:
        return None
    return RunnerRef(row["runner_id"], row["runner_name"], row["runner_version"])
