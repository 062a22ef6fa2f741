"""Simulated runners and people: each a few requests made beforehand, and a connection of its own."""

import msgspec

from benchmarks.fleets.wire import Connection, request_of
from benchmarks.load import small_recording
from projectw_shared import routes
from projectw_shared.messages import (
    Assignment,
    Heartbeat,
    HeartbeatReply,
    HeldJob,
    Job,
    Registered,
    Registration,
    Result,
)

_reply = msgspec.json.Decoder(HeartbeatReply)
_job = msgspec.json.Decoder(Job)


class Runner:
    """A runner that waits for jobs; how it works on them is up to the part."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = Connection(port)
        self.token = token
        self.session = ""
        self._idle = b""

    async def register(self) -> None:
        """Begin a session."""
        answer = await self.connection.expect(
            self._post(
                routes.RUNNER_REGISTER, Registration("simulated", "1", "simulated", "none", ["tiny.en"])
            )
        )
        self.session = msgspec.json.decode(answer, type=Registered).session

    async def next_job(self, wait: float) -> Assignment | None:
        """Send an idle heartbeat that may be held for ``wait`` seconds, the same in every call."""
        self._idle = self._idle or self._post(routes.RUNNER_HEARTBEAT, Heartbeat(self.session, wait))
        return _reply.decode(await self.connection.expect(self._idle)).job

    def beat(self, job: Assignment, progress: float, wait: float) -> bytes:
        """Return a working runner's heartbeat."""
        return self._post(
            routes.RUNNER_HEARTBEAT, Heartbeat(self.session, wait, HeldJob(job.id, job.lease, progress))
        )

    async def finish(self, job: Assignment) -> None:
        """Deliver an empty transcript."""
        path = routes.RUNNER_RESULT.format(id=job.id)
        await self.connection.expect(self._post(path, Result(job.lease, next=0, language="en", duration=0.1)))

    def _post(self, path: str, body: msgspec.Struct) -> bytes:
        return request_of("POST", path, token=self.token, body=msgspec.json.encode(body))


class Submitter:
    """Somebody who submits the same small recording again and again."""

    _recording = small_recording()

    def __init__(self, port: int, token: str) -> None:
        self.connection = Connection(port)
        self._token = token
        self._plain = self._submission(None)

    async def submit(self, key: str | None = None) -> str:
        """Submit a recording, under the Idempotency-Key ``key`` if there is one, and return the job's id."""
        request = self._plain if key is None else self._submission(key)
        return _job.decode(await self.connection.expect(request)).id

    def _submission(self, key: str | None) -> bytes:
        return request_of(
            "POST",
            routes.JOBS + "?file_name=x.wav",
            token=self._token,
            body=self._recording,
            content_type="application/octet-stream",
            headers=None if key is None else {"Idempotency-Key": key},
        )
