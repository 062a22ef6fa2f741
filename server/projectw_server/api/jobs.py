"""The jobs of a user: look, cancel, try again, delete, and take the text away."""

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct
from quart import Response

from projectw_server.accounts.audit import Action
from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.files import CONDITIONS, RECORDING, disposition, send_recording
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.errors import Invalid
from projectw_shared.formats import FORMATS, MEDIA_TYPES
from projectw_shared.jobs import JobState
from projectw_shared.messages import Estimate, EstimateWish, Job, JobList, SegmentList

doors = Doors("jobs")


class JobQuery(Struct, frozen=True):
    """What to list: ``state`` may name several states with commas between, ``q`` is looked for in file names."""

    state: str | None = None
    q: Annotated[str, Meta(max_length=255)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class SegmentQuery(Struct, frozen=True):
    """``since`` is the number of the first segment wanted."""

    since: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


class TranscriptQuery(Struct, frozen=True):
    """``format`` is one of the formats that the server names under /api/about."""

    format: str = "txt"


@doors.door("GET", routes.JOBS, Who.USER, query=JobQuery, gives=JobList, urgency=Urgency.HEAVY)
async def list_jobs(person: Person, query: JobQuery) -> JobList:
    """List the user's jobs, newest first."""
    return await services().jobs.page(
        person, states=states_of(query.state), text=query.q, limit=query.limit, cursor=query.cursor
    )


@doors.door("GET", routes.JOB, Who.USER, gives=Job)
async def get_job(person: Person, id: str) -> Job:
    """Return one job."""
    return await services().jobs.get(person, id)


@doors.door("DELETE", routes.JOB, Who.USER, status=204)
async def delete_job(person: Person, id: str) -> None:
    """Delete a job with its recording and its transcript; a running one is cancelled first."""
    await services().submitting.delete(person, id)


@doors.door("POST", routes.JOB_CANCEL, Who.USER, gives=Job)
async def cancel_job(person: Person, id: str) -> Job:
    """Cancel a job; a running one stays running until its runner has let go."""
    return await services().jobs.cancel(person, id)


@doors.door("POST", routes.JOB_RETRY, Who.USER, gives=Job)
async def retry_job(person: Person, id: str) -> Job:
    """Queue a failed or cancelled job again, with the segments that it has."""
    return await services().jobs.retry(person, id)


@doors.door("GET", routes.JOB_SEGMENTS, Who.USER, query=SegmentQuery, gives=SegmentList)
async def get_segments(person: Person, id: str, query: SegmentQuery) -> SegmentList:
    """Return the transcript from segment ``since`` on, also while it grows."""
    found = await services().transcripts.since(person.id, id, query.since)
    if found.segments:
        await services().reading.note(Action.TRANSCRIPT_READ, id)
    return found


@doors.door(
    "GET", routes.JOB_TRANSCRIPT, Who.USER, query=TranscriptQuery, produces=tuple(MEDIA_TYPES.values())
)
async def get_transcript(person: Person, id: str, query: TranscriptQuery) -> Response:
    """Return the finished transcript in one of the formats."""
    check_format(query.format)
    text, name = await services().transcripts.render(person.id, id, query.format)
    await services().reading.note(Action.TRANSCRIPT_EXPORTED, id, format=query.format)
    headers = {"Content-Disposition": disposition(f"{name}.{query.format}")}
    return Response(text, headers=headers, content_type=MEDIA_TYPES[query.format])


@doors.door("GET", routes.JOB_AUDIO, Who.USER, produces=RECORDING, headers=CONDITIONS)
async def get_audio(person: Person, id: str) -> Response:
    """Return the recording as it was uploaded, or a range of it."""
    row = await services().jobs.row(person, id)
    recording = await services().receiving.open(id)
    await services().reading.note(Action.RECORDING_READ, id)
    return await send_recording(
        recording,
        file_name=row["file_name"],
        media_type=row["media_type"],
        sha256=row["sha256"],
        may_go_on=partial(services().is_good, person),
    )


@doors.door("POST", routes.ESTIMATE, Who.USER, grant=Grant.READ, takes=EstimateWish, gives=Estimate)
async def estimate(person: Person, body: EstimateWish) -> Estimate:
    """Say what would become of a recording that is submitted now; nothing is uploaded or kept."""
    services().jobs.check_settings(person, body.settings)
    return await services().estimating.estimate(person, body)


def check_format(format: str) -> None:
    """Refuse a format in which there are no transcripts. Raises Invalid."""
    if format not in FORMATS:
        raise Invalid(f"There is no format {format!r}; the formats are {', '.join(FORMATS)}")


def states_of(text: str | None) -> list[JobState]:
    """Return the states that a query names, with commas between. Raises Invalid."""
    if not text:
        return []
    try:
        return [JobState(word.strip()) for word in text.split(",")]
    except ValueError as error:
        raise Invalid(f"There is no state {text!r}; the states are {', '.join(JobState)}") from error
