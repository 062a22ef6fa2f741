"""The state machine of a job: a pure table of events, the states they may start from, and where they lead.

=================  ==================  ==================================================================
event              from                to
=================  ==================  ==================================================================
claimed            queued              assigned (lease + 1, attempts + 1)
beat               assigned, running   running
succeeded          assigned, running   succeeded
failed             assigned, running   failed
failed_for_now     assigned, running   queued; failed when the attempts are spent
lease_expired      assigned, running   queued; failed when the attempts are spent
handed_back        assigned, running   queued (attempts - 1)
cancel_asked       queued              cancelled
cancel_asked       assigned, running   unchanged, with cancel_requested
cancel_asked       cancelled           unchanged
retried            failed, cancelled   queued (attempts 0)
=================  ==================  ==================================================================

Once cancel_requested is set, every way in which a runner lets go leads to cancelled, a success included.
"""

from dataclasses import dataclass
from enum import StrEnum

from projectw_shared.errors import IllegalMove
from projectw_shared.jobs import JobState


class Event(StrEnum):
    """What can happen to a job."""

    CLAIMED = "claimed"
    BEAT = "beat"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAILED_FOR_NOW = "failed_for_now"
    LEASE_EXPIRED = "lease_expired"
    HANDED_BACK = "handed_back"
    CANCEL_ASKED = "cancel_asked"
    RETRIED = "retried"


@dataclass(frozen=True)
class Standing:
    """As much of a job as decides where an event leads."""

    state: JobState
    attempts: int = 0
    cancel_requested: bool = False


_HELD = frozenset({JobState.ASSIGNED, JobState.RUNNING})

ALLOWED_FROM: dict[Event, frozenset[JobState]] = {
    Event.CLAIMED: frozenset({JobState.QUEUED}),
    Event.BEAT: _HELD,
    Event.SUCCEEDED: _HELD,
    Event.FAILED: _HELD,
    Event.FAILED_FOR_NOW: _HELD,
    Event.LEASE_EXPIRED: _HELD,
    Event.HANDED_BACK: _HELD,
    Event.CANCEL_ASKED: _HELD | {JobState.QUEUED, JobState.CANCELLED},
    Event.RETRIED: frozenset({JobState.FAILED, JobState.CANCELLED}),
}

_LETTING_GO = {
    Event.SUCCEEDED: JobState.SUCCEEDED,
    Event.FAILED: JobState.FAILED,
    Event.FAILED_FOR_NOW: JobState.QUEUED,
    Event.LEASE_EXPIRED: JobState.QUEUED,
    Event.HANDED_BACK: JobState.QUEUED,
}
"""Where a job goes when its runner lets go, if nobody asked to cancel it and attempts are left."""


def advance(job: Standing, event: Event, *, max_attempts: int) -> Standing:
    """Return where ``job`` stands after ``event``; raises IllegalMove when its state does not allow it."""
    if job.state not in ALLOWED_FROM[event]:
        allowed = " or ".join(sorted(ALLOWED_FROM[event]))
        raise IllegalMove(f"The job is {job.state}; this is possible for a job that is {allowed}")
    if event is Event.CLAIMED:
        return Standing(JobState.ASSIGNED, job.attempts + 1)
    if event is Event.BEAT:
        return Standing(JobState.RUNNING, job.attempts, job.cancel_requested)
    if event is Event.RETRIED:
        return Standing(JobState.QUEUED)
    if event is Event.CANCEL_ASKED:
        if job.state.is_held:
            return Standing(job.state, job.attempts, cancel_requested=True)
        return Standing(JobState.CANCELLED, job.attempts, cancel_requested=True)
    return _let_go(job, event, max_attempts)


def _let_go(job: Standing, event: Event, max_attempts: int) -> Standing:
    attempts = job.attempts - 1 if event is Event.HANDED_BACK else job.attempts
    if job.cancel_requested:
        return Standing(JobState.CANCELLED, attempts, cancel_requested=True)
    state = _LETTING_GO[event]
    if state is JobState.QUEUED and event is not Event.HANDED_BACK and attempts >= max_attempts:
        state = JobState.FAILED
    return Standing(state, attempts)
