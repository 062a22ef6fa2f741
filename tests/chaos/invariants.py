"""What must hold whatever goes wrong: each invariant reads the evidence and yields what contradicts it.

Pure: the history of requests and answers, and what is stored, are all that is looked at; never what the
program says about itself.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from projectw_shared.jobs import JobState
from tests.chaos.history import Call
from tests.chaos.recordings import expected
from tests.chaos.snapshot import Snapshot, StoredJob

HELD: Final = (JobState.ASSIGNED, JobState.RUNNING)
OVER: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

JOB = re.compile(r"/api/(?:runners/)?jobs/([0-9a-f-]{36})(?:/(\w+))?$")


@dataclass(frozen=True)
class Assigned:
    """A job given to a runner in the answer to ``call``."""

    job: str
    lease: int
    session: str
    call: Call


@dataclass(frozen=True)
class Evidence:
    """What is judged. ``is_settled``: the faults are over and everything had time to end."""

    calls: list[Call]
    stored: Snapshot
    max_attempts: int = 3
    is_settled: bool = True

    @cached_property
    def submissions(self) -> list[Call]:
        """Requests that bring a recording."""
        return [call for call in self.calls if (call.method, call.route) == ("POST", "/api/jobs")]

    @cached_property
    def assignments(self) -> list[Assigned]:
        """Jobs given to runners."""
        found = []
        for call in self.heartbeats:
            if call.was_taken and call.reply and (job := call.reply.get("job")):
                found.append(Assigned(job["id"], job["lease"], call.body["session"], call))
        return found

    @cached_property
    def heartbeats(self) -> list[Call]:
        """Heartbeats, with a job and without."""
        return [call for call in self.calls if call.route == "/api/runners/heartbeat"]

    @cached_property
    def by_job(self) -> dict[tuple[str, str], list[Call]]:
        """Calls that name a job in their path, by what they want and its id."""
        found: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in self.calls:
            if match := JOB.search(call.route):
                found[match[2] or call.method.lower(), match[1]].append(call)
        return found

    def asked(self, what: str, job: str) -> list[Call]:
        """Return the calls for a job: ``cancel``, ``retry``, ``delete``, ``result``, ``get``, ``segments`` …"""
        return self.by_job.get((what, job), [])

    @property
    def jobs(self) -> list[StoredJob]:
        """The jobs that are stored."""
        return list(self.stored.jobs.values())


Invariant = Callable[[Evidence], Iterator[str]]


def acknowledged_jobs_are_kept(evidence: Evidence) -> Iterator[str]:
    """A job that was acknowledged is there, unless its owner asked to delete it."""
    for call in evidence.submissions:
        if call.was_taken:
            job = call.reply["id"]
            if job not in evidence.stored.jobs and not evidence.asked("delete", job):
                yield f"job {job} was acknowledged and is gone"


def one_key_makes_one_job(evidence: Evidence) -> Iterator[str]:
    """A submission that was sent again under its key is the same job."""
    seen: dict[tuple[str, str], str] = {}
    for call in evidence.submissions:
        if call.was_taken and call.key is not None:
            first = seen.setdefault((call.who, call.key), call.reply["id"])
            if first != call.reply["id"]:
                yield f"the key {call.key} made the jobs {first} and {call.reply['id']}"


def every_job_ends(evidence: Evidence) -> Iterator[str]:
    """Once the faults are over, every job comes to an end."""
    for job in evidence.jobs:
        if evidence.is_settled and job.state not in OVER:
            yield f"job {job.id} is still {job.state} (attempt {job.attempts}, lease {job.lease})"


def one_result_a_job(evidence: Evidence) -> Iterator[str]:
    """A job takes one transcript as its result, once more for each time that it was begun anew."""
    for job in evidence.jobs:
        first: dict[int, Call] = {}
        for call in evidence.asked("result", job.id):
            if call.may_have_been_taken:
                # What follows under the same lease is a repeat, whatever it says, and changes nothing.
                first.setdefault(call.body["lease"], call)
        leases = {lease for lease, call in first.items() if call.was_taken and _is_transcript(call)}
        again = sum(call.may_have_been_taken for call in evidence.asked("retry", job.id))
        if len(leases) > 1 + again:
            yield f"job {job.id} took results under the leases {sorted(leases)}"
        if job.state == JobState.SUCCEEDED:
            if not any(_is_transcript(call) for call in evidence.asked("result", job.id)):
                yield f"job {job.id} succeeded and no runner said so"
            if evidence.stored.deliveries.count((job.id, job.lease)) != 1:
                yield f"job {job.id} succeeded and does not know under which lease"
    for delivery in set(evidence.stored.deliveries):
        if evidence.stored.deliveries.count(delivery) > 1:
            yield f"the result of job {delivery[0]} under lease {delivery[1]} is kept twice"


def _is_transcript(call: Call) -> bool:
    return call.body is not None and call.body.get("error") is None


def transcripts_are_whole(evidence: Evidence) -> Iterator[str]:
    """Segments are numbered 0 to n-1, without a seam, as the engine wrote them for this job; all when it succeeded."""
    for job in evidence.jobs:
        stored = evidence.stored.segments.get(job.id, [])
        numbers = [number for number, _ in stored]
        if numbers != list(range(len(numbers))):
            yield f"job {job.id} has the segments {numbers}"
        if job.segment_count != len(numbers):
            yield f"job {job.id} counts {job.segment_count} segments and has {len(numbers)}"
        whole = expected(job.bytes, job.wish.temperature)
        for (number, segment), right in zip(stored, whole, strict=False):
            if segment != right:
                yield f"segment {number} of job {job.id} is {segment}, not {right}"
        if len(stored) > len(whole):
            yield f"job {job.id} has {len(stored)} segments of {len(whole)}"
        if job.state == JobState.SUCCEEDED and len(stored) < len(whole):
            yield f"job {job.id} succeeded with {len(stored)} of {len(whole)} segments"
    for orphan in evidence.stored.segments.keys() - evidence.stored.jobs.keys():
        yield f"there are segments of {orphan}, which is no job"


def what_was_read_stays(evidence: Evidence) -> Iterator[str]:
    """Segments that somebody was shown are stored, and stay as they were: the list only grows."""
    for (what, job), calls in evidence.by_job.items():
        if what != "segments" or job not in evidence.stored.jobs:
            continue
        stored = len(evidence.stored.segments.get(job, []))
        for call in calls:
            if call.was_taken and call.reply["next"] > stored:
                yield f"job {job} showed {call.reply['next']} segments and has {stored}"


def strangers_see_nothing(evidence: Evidence) -> Iterator[str]:
    """Whatever a user asks of somebody else's job, the answer is that there is none."""
    owners = {call.reply["id"]: call.who for call in evidence.submissions if call.was_taken}
    owners |= {job.id: job.owner_id for job in evidence.jobs}
    for (what, job), calls in evidence.by_job.items():
        for call in calls:
            is_users = not call.route.startswith("/api/runners/")
            if is_users and call.was_taken and job in owners and call.who != owners[job]:
                yield f"{call.who} may {what} job {job} of {owners[job]}"


def leases_grow(evidence: Evidence) -> Iterator[str]:
    """A job's lease number grows with each assignment, and each number has one holder."""
    holders: dict[tuple[str, int], str] = {}
    highest: dict[str, list[Assigned]] = defaultdict(list)
    for given in evidence.assignments:
        first = holders.setdefault((given.job, given.lease), given.session)
        if first != given.session:
            yield f"lease {given.lease} of job {given.job} was given to the sessions {first} and {given.session}"
        for earlier in highest[given.job]:
            if earlier.lease > given.lease and earlier.call.is_before(given.call):
                yield f"job {given.job} was given under lease {given.lease} after {earlier.lease}"
        highest[given.job].append(given)
        stored = evidence.stored.jobs.get(given.job)
        if stored is not None and stored.lease < given.lease:
            yield f"job {given.job} was given under lease {given.lease} and knows only {stored.lease}"


def late_runners_change_nothing(evidence: Evidence) -> Iterator[str]:
    """Once a job is in other hands, what its former runner sends for it is refused, but for the repeat of a result."""
    newer: dict[str, list[Assigned]] = defaultdict(list)
    for given in evidence.assignments:
        newer[given.job].append(given)

    def is_late(job: str, lease: int, call: Call) -> bool:
        return any(given.lease > lease and given.call.is_before(call) for given in newer[job])

    for call in evidence.heartbeats:
        held = call.body and call.body.get("job")
        if call.was_taken and held and is_late(held["id"], held["lease"], call):
            yield f"a heartbeat for job {held['id']} was taken under lease {held['lease']}, which was over"
    for (what, job), calls in evidence.by_job.items():
        if what != "result":
            continue
        for number, call in enumerate(calls):
            earlier = [each for each in calls[:number] if each.body["lease"] == call.body["lease"]]
            is_repeat = any(each.may_have_been_taken for each in earlier)
            if call.was_taken and not is_repeat and is_late(job, call.body["lease"], call):
                yield f"a result of job {job} was taken under lease {call.body['lease']}, which was over"


def a_runner_holds_one_job(evidence: Evidence) -> Iterator[str]:
    """A job is held exactly while it is assigned or running, and a runner holds at most one."""
    holding: dict[str, str] = {}
    for job in evidence.jobs:
        is_held = job.state in HELD
        if is_held != (job.lease_expires_at is not None):
            yield f"job {job.id} is {job.state} and its lease runs out at {job.lease_expires_at}"
        if is_held and job.runner_id is None:
            yield f"job {job.id} is {job.state} and nobody holds it"
        elif is_held and job.runner_id is not None:
            other = holding.setdefault(job.runner_id, job.id)
            if other != job.id:
                yield f"runner {job.runner_id} holds the jobs {other} and {job.id}"


def attempts_are_bounded(evidence: Evidence) -> Iterator[str]:
    """A job is tried no more often than is set."""
    for job in evidence.jobs:
        if not 0 <= job.attempts <= evidence.max_attempts:
            yield f"job {job.id} was tried {job.attempts} times"


def failures_have_a_cause(evidence: Evidence) -> Iterator[str]:
    """A job has failed because a runner said so, or because all its attempts were lost."""
    for job in evidence.jobs:
        if job.state != JobState.FAILED:
            continue
        told = {
            (call.body["error"]["code"], bool(call.body["error"].get("retryable")))
            for call in evidence.asked("result", job.id)
            if call.body and call.body.get("error")
        }
        is_spent = job.attempts == evidence.max_attempts
        lost = is_spent and job.error_code == "runner-lost"
        said = (job.error_code, False) in told or (is_spent and (job.error_code, True) in told)
        if not (lost or said):
            yield f"job {job.id} failed with {job.error_code} at attempt {job.attempts}; runners said {told}"


def cancelled_jobs_stay(evidence: Evidence) -> Iterator[str]:
    """A job whose cancelling was acknowledged ends cancelled and is given to nobody, unless it is begun anew."""
    for job in evidence.jobs:
        retried = [call for call in evidence.asked("retry", job.id) if call.may_have_been_taken]
        for call in evidence.asked("cancel", job.id):
            if not call.was_taken or any(not again.is_before(call) for again in retried):
                continue
            if job.state in OVER and job.state != JobState.CANCELLED:
                yield f"job {job.id} was cancelled and has {job.state}"
            if job.state not in OVER and not job.cancel_requested:
                yield f"job {job.id} was cancelled and is {job.state}"
            fresh = {
                given.lease
                for given in evidence.assignments
                if given.job == job.id and call.is_before(given.call)
            }
            # Its holder may be told of it again under the lease that it has: that answer was lost.
            if len(fresh) > (0 if call.reply["state"] == JobState.CANCELLED else 1):
                yield f"job {job.id} was cancelled and given out under {sorted(fresh)}"


def deleted_jobs_leave_nothing(evidence: Evidence) -> Iterator[str]:
    """Of a job whose deletion was acknowledged no row and no file is left."""
    for (what, job), calls in evidence.by_job.items():
        if what != "delete" or not any(call.was_taken for call in calls):
            continue
        if job in evidence.stored.jobs:
            yield f"job {job} was deleted and is there"
        if job in evidence.stored.segments:
            yield f"job {job} was deleted and its segments are there"
        if any(delivery[0] == job for delivery in evidence.stored.deliveries):
            yield f"job {job} was deleted and its result is there"


def recordings_match_jobs(evidence: Evidence) -> Iterator[str]:
    """Every job has its recording, whole; once all is settled and swept there is no other file."""
    files = evidence.stored.recordings
    if files is None:
        return
    for job in evidence.jobs:
        if files.get(job.id) != job.bytes:
            yield f"job {job.id} has {files.get(job.id)} of {job.bytes} bytes"
    if evidence.is_settled:
        for orphan in files.keys() - evidence.stored.jobs.keys():
            yield f"the recording {orphan} belongs to no job"
        if evidence.stored.unfinished:
            yield f"{evidence.stored.unfinished} uploads that broke off are still there"


INVARIANTS: Final[tuple[Invariant, ...]] = (
    acknowledged_jobs_are_kept,
    one_key_makes_one_job,
    every_job_ends,
    one_result_a_job,
    transcripts_are_whole,
    what_was_read_stays,
    strangers_see_nothing,
    leases_grow,
    late_runners_change_nothing,
    a_runner_holds_one_job,
    attempts_are_bounded,
    failures_have_a_cause,
    cancelled_jobs_stay,
    deleted_jobs_leave_nothing,
    recordings_match_jobs,
)


def violations(evidence: Evidence) -> list[str]:
    """Return all that contradicts an invariant, each with the invariant's name."""
    return [f"{each.__name__}: {found}" for each in INVARIANTS for found in each(evidence)]
