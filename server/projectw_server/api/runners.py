"""Runners: what they call, and what an admin does with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from msgspec import Struct
from quart import Response

from projectw_server.accounts.principals import Person, RunnerIdentity
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.doors import Doors, about_job, while_held
from projectw_server.api.files import CONDITIONS, RECORDING, send_recording
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.errors import ProjectWError
from projectw_shared.messages import (
    CreatedRunner,
    Heartbeat,
    HeartbeatReply,
    LeaseNumber,
    NewRunner,
    Nothing,
    Registered,
    Registration,
    Result,
    RunnerInfo,
    RunnerList,
    Unregister,
)

doors = Doors("runners")

MAX_SEGMENT_BYTES = 8 * 1024 * 1024
"""The largest heartbeat: one that brings hours of segments with word times is the longest body in JSON there is."""

# A runner that holds a job is let in whatever its heartbeat's door says; see api/gate.py.
IDLE, WORKING = Urgency.IDLE, Urgency.WORKING


class LeaseQuery(Struct, frozen=True):
    """The lease under which a runner holds the job."""

    lease: LeaseNumber


@doors.door("POST", routes.RUNNER_CREATE, Who.ADMIN, takes=NewRunner, gives=CreatedRunner, status=201)
async def create_runner(person: Person, body: NewRunner) -> CreatedRunner:
    """Make a runner; its token is shown this once."""
    return await services().runner_tokens.create(body.name)


@doors.door("GET", routes.RUNNERS, Who.ADMIN, gives=RunnerList)
async def list_runners(person: Person) -> RunnerList:
    """List the runners and what they do."""
    return await services().fleet.overview()


@doors.door("DELETE", routes.RUNNER, Who.ADMIN, status=204)
async def delete_runner(person: Person, id: str) -> None:
    """Revoke a runner's token at once; what it holds is queued again."""
    await services().fleet.delete(id)


@doors.door("POST", routes.RUNNER_CORDON, Who.ADMIN, gives=RunnerInfo)
async def cordon_runner(person: Person, id: str) -> RunnerInfo:
    """Give a runner no new jobs."""
    return await services().fleet.cordon(id, cordoned=True)


@doors.door("POST", routes.RUNNER_UNCORDON, Who.ADMIN, gives=RunnerInfo)
async def uncordon_runner(person: Person, id: str) -> RunnerInfo:
    """Give a runner jobs again."""
    return await services().fleet.cordon(id, cordoned=False)


@doors.door("POST", routes.RUNNER_DRAIN, Who.ADMIN, gives=RunnerInfo)
async def drain_runner(person: Person, id: str) -> RunnerInfo:
    """Let a runner finish what it holds, unregister and exit."""
    return await services().fleet.drain(id)


@doors.door("POST", routes.RUNNER_REGISTER, Who.RUNNER, takes=Registration, gives=Registered, urgency=IDLE)
async def register(runner: RunnerIdentity, body: Registration) -> Registered:
    """Begin a session; an earlier one with the same token loses its job."""
    return await services().fleet.register(runner, body)


@doors.door(
    "POST",
    routes.RUNNER_HEARTBEAT,
    Who.RUNNER,
    takes=Heartbeat,
    gives=HeartbeatReply,
    max_bytes=MAX_SEGMENT_BYTES,
    urgency=IDLE,
)
async def heartbeat(runner: RunnerIdentity, body: Heartbeat) -> HeartbeatReply:
    """Say that the runner lives, bring segments, wait for a job or for news of the one that is held."""
    metrics = services().metrics
    kind, outcome = ("idle" if body.job is None else "working"), "gone"
    if body.job is not None:
        about_job(body.job.id)
    try:
        reply = await services().dispatcher.heartbeat(runner, body, _held)
        outcome = _outcome(reply)
    except ProjectWError as error:
        outcome = error.code
        raise
    finally:
        metrics.note_heartbeat(kind, outcome)
    if reply.job is not None:
        about_job(reply.job.id)
    return reply


@contextmanager
def _held() -> Iterator[None]:
    with while_held(), services().metrics.held_heartbeats.track_inprogress():
        yield


def _outcome(reply: HeartbeatReply) -> str:
    if reply.job is not None:
        return "assigned"
    if reply.abort:
        return "abort"
    return "drain" if reply.drain else "nothing"


@doors.door(
    "POST", routes.RUNNER_UNREGISTER, Who.RUNNER, takes=Unregister, gives=type(Nothing), urgency=WORKING
)
async def unregister(runner: RunnerIdentity, body: Unregister) -> object:
    """End a session and hand a held job back."""
    await services().dispatcher.unregister(runner, body.session)
    return Nothing


@doors.door(
    "GET",
    routes.RUNNER_AUDIO,
    Who.RUNNER,
    query=LeaseQuery,
    produces=RECORDING,
    headers=CONDITIONS,
    urgency=WORKING,
)
async def get_leased_audio(runner: RunnerIdentity, id: str, query: LeaseQuery) -> Response:
    """Return the recording of the job that the runner holds, or a range of it."""
    row = await services().leases.audio_of(runner.id, id, query.lease)
    recording = await services().receiving.open(id)
    return await send_recording(
        recording,
        file_name=row["file_name"],
        media_type=row["media_type"],
        sha256=row["sha256"],
        may_go_on=partial(services().leases.may_read, runner.id, id, query.lease),
    )


@doors.door("POST", routes.RUNNER_RESULT, Who.RUNNER, takes=Result, gives=type(Nothing), urgency=WORKING)
async def deliver_result(runner: RunnerIdentity, id: str, body: Result) -> object:
    """Take the end of a job; a repetition changes nothing."""
    await services().dispatcher.finish(runner, id, body)
    return Nothing
