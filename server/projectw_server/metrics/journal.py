"""The moves of jobs in the log: one line each, by which a job is followed through all programs.

Ids, numbers and codes only: no file name, no text of a transcript, no message that somebody wrote.
"""

from typing import Any

import structlog

from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.moves import Moved
from projectw_shared.jobs import JobState

_log = structlog.get_logger("projectw.jobs")


def write(moved: Moved) -> None:
    """Write the line of a move, if it is one that is told: most heartbeats are not."""
    told = _told(moved)
    if told is None:
        return
    row = moved.after
    # After a job was let go its row names no runner any more.
    holder = moved.before if moved.before is not None and moved.before["runner_id"] else row
    known: dict[str, Any] = {"job_id": row["id"], "user": row["owner_id"]}
    if holder["runner_id"]:
        known |= {"runner": holder["runner_id"], "lease": holder["lease"], "attempt": holder["attempts"]}
    event, more = told
    _log.info(event, **known, **more)


def _told(moved: Moved) -> tuple[str, dict[str, Any]] | None:
    state = JobState(moved.after["state"])
    if moved.event is None:
        return "job submitted", {"bytes": moved.after["bytes"]}
    if moved.event is Event.CLAIMED:
        return "job assigned", {"waited": round(moved.at - moved.after["created_at"], 3)}
    if moved.before is None:
        return None
    if moved.event is Event.BEAT:
        is_first = moved.before["segment_count"] == 0 < moved.after["segment_count"]
        return ("first text", {}) if is_first else None
    if moved.before["state"] == state:
        return ("cancelling asked for", {}) if moved.event is Event.CANCEL_ASKED else None
    reason = {"reason": moved.event.value} | ({"code": moved.error.code} if moved.error else {})
    if state is JobState.QUEUED:
        return "job queued again", reason
    if state is JobState.SUCCEEDED:
        return "job succeeded", {"segments": moved.after["segment_count"], "seconds": moved.after["duration"]}
    return f"job {state.value}", reason
