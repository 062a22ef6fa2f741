"""Jobs as they are found in a server that has been used: with a recording in storage, with a transcript."""

from collections.abc import AsyncIterator

from projectw_server.accounts.principals import Person
from projectw_server.api.context import Services
from projectw_server.jobs.service import Recording
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Heartbeat, HeldJob, Registration, Result
from projectw_shared.transcripts import Segment

SOUND = b"RIFF" + (2036).to_bytes(4, "little") + b"WAVEfmt " + bytes(2032)
"""As much of a WAV file as the server looks at."""


async def submitted(services: Services, person: Person) -> str:
    """Return the id of a job of ``person`` whose recording lies in storage."""

    async def sound() -> AsyncIterator[bytes]:
        yield SOUND

    received = await services.receiving.receive(sound(), declared=None, file_name="talk.wav")
    recording = Recording(received.id, "talk.wav", received.media_type, received.bytes, received.sha256)
    return (await services.jobs.submit(person, recording, JobSettings())).id


async def finished(services: Services, person: Person, text: str, *, job: str | None = None) -> str:
    """Return the id of a job of ``person`` with a transcript: a new one, or the one that waits."""
    job_id = job or await submitted(services, person)
    made = await services.runner_tokens.create("gpu")
    runner = await services.runner_tokens.identify(made.token)
    assert runner is not None
    session = (
        await services.fleet.register(runner, Registration("gpu", "1", "fake", "cpu", ["tiny"]))
    ).session
    reply = await services.dispatcher.heartbeat(runner, Heartbeat(session, 0.0))
    assert reply.job is not None
    segment = Segment(id=0, start=0.0, end=1.0, text=text)
    held = HeldJob(job_id, reply.job.lease, 1.0, 1.0, 1.0, "en", 0, [segment])
    await services.dispatcher.heartbeat(runner, Heartbeat(session, 0.0, held))
    await services.dispatcher.finish(runner, job_id, Result(reply.job.lease, 1, "en", 1.0))
    return job_id
