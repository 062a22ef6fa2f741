"""What travels between the programs, as types: requests, answers, and the parts that they share.

Times are UTC datetimes (RFC 3339 on the wire), durations and positions in the audio are seconds, sizes are
bytes, progress is 0 to 1, ids are UUIDv7 strings. Decoding accepts unknown fields, so that an old client
survives a new server; the server decodes requests through ``strict``, which refuses them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.secrecy import Discreet
from projectw_shared.transcripts import MAX_SECONDS, Segment

Seconds = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LeaseNumber = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class About(Struct, frozen=True):
    """What anyone may know of a server. Without ``mail`` its operator has the codes that others send."""

    name: str
    version: str
    source_code: str
    signup: Literal["open", "closed"]
    allowed_email_domains: list[str]
    models: list[str]
    formats: list[str]
    max_upload_bytes: int
    retention_days: int | None
    mail: bool = True


# --- jobs -------------------------------------------------------------------------------------------------


class RunnerRef(Struct, frozen=True):
    """Which runner worked on a job: kept with the job, also when the runner is gone."""

    id: str
    name: str
    version: str


class JobError(Struct, frozen=True):
    """Why a job failed: a stable code, and a sentence for the person who waits."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    message: Annotated[str, Meta(max_length=2000)]


class WaitingFor(Struct, frozen=True):
    """Why a queued job waits: a stable code, and words for the person who waits.

    ``busy``: its turn will come; ``no-runner``, ``no-capable-runner``, ``offline``, ``cordoned``: nobody can do it now.
    """

    code: str
    message: str


class Job(Struct, frozen=True):
    """A recording on its way to text.

    ``position`` is the place in the queue, 1 for the next, null when the job does not wait. ``attempts``
    counts assignments, less those handed back. ``eta`` is the seconds until the job is done, null while nobody can
    know. ``waiting`` says what a queued job waits for. ``revision`` is the change number of the last durable change.
    """

    id: str
    file_name: str
    bytes: int
    duration: float | None
    state: JobState
    cancel_requested: bool
    progress: float
    position: int | None
    eta: float | None
    settings: JobSettings
    language: str | None
    runner: RunnerRef | None
    attempts: int
    error: JobError | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    revision: int
    waiting: WaitingFor | None = None


class JobList(Struct, frozen=True):
    jobs: list[Job]
    next_cursor: str | None


class EstimateWish(Struct, frozen=True):
    """A recording that somebody thinks of submitting: its length in seconds, or its size in bytes."""

    duration: Seconds | None = None
    bytes: Count | None = None
    settings: JobSettings = JobSettings()

    def __post_init__(self) -> None:
        """Refuse one of which nothing is known."""
        if self.duration is None and self.bytes is None:
            raise ValueError("an estimate needs the recording's duration in seconds or its size in bytes")


class Estimate(Struct, frozen=True):
    """What would become of a job that is submitted now; null where nobody can know.

    ``position`` is its place in the queue; it would begin in ``begins_in`` seconds and be done in ``eta``, at one of
    ``runners`` that are there and can do it. ``waiting`` says why nobody could do it, if so.
    """

    position: int
    begins_in: float | None
    eta: float | None
    runners: int
    waiting: WaitingFor | None


class SegmentList(Struct, frozen=True):
    """The transcript from the index that was asked for to the end of what there is.

    ``next`` is the index of the first segment that does not exist yet; ``complete`` says that none will come.
    """

    segments: list[Segment]
    next: int
    complete: bool


# --- live events ------------------------------------------------------------------------------------------


class Hello(Struct, frozen=True):
    """The first event of a stream: the change number at which it begins."""

    revision: int


class SegmentsAdded(Struct, frozen=True):
    job_id: str
    segments: list[Segment]
    next: int


class JobDeleted(Struct, frozen=True):
    job_id: str


# --- runners ----------------------------------------------------------------------------------------------


class NewRunner(Struct, frozen=True):
    name: Label


class CreatedRunner(Discreet, frozen=True):
    """A runner with its token, which is shown this once."""

    id: str
    name: str
    token: str

    def __repr__(self) -> str:
        return f"CreatedRunner(id={self.id!r}, name={self.name!r}, token='…')"


class RunnerInfo(Struct, frozen=True):
    """What an admin sees of a runner. ``job`` is the id of the one that it holds.

    ``cordon_reason`` says why the server has cordoned it by itself, if it has.
    """

    id: str
    name: str
    online: bool
    cordoned: bool
    draining: bool
    version: str | None
    engine: str | None
    device: str | None
    models: list[str]
    job: str | None
    last_seen: datetime | None
    created_at: datetime
    cordon_reason: str | None = None


class RunnerList(Struct, frozen=True):
    runners: list[RunnerInfo]


class Registration(Struct, frozen=True):
    """A runner's word on itself. ``models`` are the names of the checkpoints that it has."""

    name: Label
    version: Label
    engine: Label
    device: Label
    models: Annotated[list[Label], Meta(max_length=200)]


class Registered(Struct, frozen=True):
    runner_id: str
    session: str
    heartbeat_seconds: float
    lease_seconds: float


class HeldJob(Struct, frozen=True):
    """What a working runner says of its job.

    ``segments`` are appended at index ``first``. ``resume_at`` is the position from which another runner
    could go on once these segments are stored.
    """

    id: str
    lease: LeaseNumber
    progress: Fraction
    resume_at: Seconds | None = None
    duration: Seconds | None = None
    language: Annotated[str, Meta(max_length=8)] | None = None
    first: Count | None = None
    segments: list[Segment] | None = None

    def __post_init__(self) -> None:
        """Refuse segments whose place is not said, or whose ids contradict it."""
        if not self.segments:
            return
        if self.first is None:
            raise ValueError("segments need first, the index of the first of them")
        if any(segment.id != self.first + n for n, segment in enumerate(self.segments)):
            raise ValueError("segments are numbered one by one from first")


class Heartbeat(Struct, frozen=True):
    session: str
    wait: Seconds
    job: HeldJob | None = None


class Assignment(Struct, frozen=True):
    """A job for a runner, under the lease number ``lease``.

    ``first`` segments are kept from an earlier attempt; the work goes on at ``resume_at`` seconds, and
    ``segments`` are the last few of them, for the prompt.
    """

    id: str
    lease: int
    file_name: str
    bytes: int
    sha256: str
    settings: JobSettings
    language: str | None
    duration: float | None
    first: int
    resume_at: float
    segments: list[Segment]


class HeartbeatReply(Struct, frozen=True):
    job: Assignment | None
    abort: bool
    drain: bool
    server_time: datetime


class ResultError(JobError, frozen=True):
    retryable: bool = False


class Result(Struct, frozen=True):
    """How a job ended at its runner: with a transcript of ``next`` segments, or with an error."""

    lease: LeaseNumber
    next: Count | None = None
    language: Annotated[str, Meta(max_length=8)] | None = None
    duration: Seconds | None = None
    error: ResultError | None = None

    def __post_init__(self) -> None:
        """Refuse a result that is neither or both."""
        if (self.next is None) == (self.error is None):
            raise ValueError("a result has either next, the number of segments, or an error")


class Unregister(Struct, frozen=True):
    session: str


class _Nothing(Struct, frozen=True):
    """The body of an answer that only says that it was done."""


Nothing = _Nothing()


def encode(message: Any) -> bytes:
    """Return ``message`` as JSON in UTF-8."""
    return msgspec.json.encode(message)
