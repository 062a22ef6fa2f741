"""A whole installation for one journey, and a person who uses it over plain HTTP."""

import json
import struct
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from deploy.installation import Installation
from deploy.programs import Program
from projectw_shared import routes
from projectw_shared.accounts import Tokens
from projectw_shared.jobs import JobState
from projectw_shared.messages import Job, RunnerInfo, RunnerList, SegmentList

T = TypeVar("T")

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery staple"
RUNNERS = ("first", "second")

LEASE_SECONDS = 2.0
HEARTBEAT_SECONDS = 0.5

WINDOW_SECONDS = 5
"""What the fake engine makes one segment of."""

SLOW = 20.0
"""Seconds of audio that a runner does in a second where something is to happen in mid-job."""


class Refused(Exception):
    """An answer that is no success, with its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem


class World:
    """The programs of one journey, and Ada, who is an admin and signed in."""

    def __init__(self, installation: Installation, tokens: dict[str, str]) -> None:
        self.installation = installation
        self.server = installation.serve()
        self._runner_tokens = tokens
        self._access_token = self._sign_in(EMAIL)

    # --- programs -----------------------------------------------------------------------------------------

    def start_runner(self, name: str = "first", **settings: Any) -> Program:
        """Start a runner with the fake engine, unless told otherwise, and return when it has registered."""
        program = self.installation.start_runner(
            name, self._runner_tokens[name], **{"engine": "fake", **settings}
        )
        program.wait_for("registered", timeout=60)
        return program

    def restart_server(self) -> None:
        """Kill the server in the middle of whatever it does, and start it anew at the same address."""
        self.server.kill()
        self.server = self.installation.serve()

    def another_person(self, email: str) -> "World":
        """Return the same programs as somebody else uses them, who gets an account by Ada."""
        body = json.dumps({"email": email, "password": PASSWORD}).encode()
        self._request("POST", routes.ADMIN_USERS, body)
        another = copy(self)
        another._access_token = self._sign_in(email)
        return another

    def _sign_in(self, email: str) -> str:
        body = json.dumps({"email": email, "password": PASSWORD}).encode()
        return msgspec.json.decode(self._request("POST", routes.LOGIN, body), type=Tokens).access_token

    # --- Ada ----------------------------------------------------------------------------------------------

    def submit(self, file: Path, name: str | None = None, **settings: Any) -> Job:
        """Submit a recording."""
        query = urlencode({"file_name": name or file.name, "settings": json.dumps(settings)})
        return self._job("POST", f"{routes.JOBS}?{query}", file.read_bytes(), "application/octet-stream")

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return self._job("GET", routes.JOB.format(id=job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._job("POST", routes.JOB_CANCEL.format(id=job_id), b"")

    def delete(self, job_id: str) -> None:
        """Delete a job."""
        self._request("DELETE", routes.JOB.format(id=job_id))

    def delete_account(self) -> None:
        """Delete the account with all that it owns."""
        self._request("DELETE", routes.ME, json.dumps({"password": PASSWORD}).encode())

    def segments(self, job_id: str) -> SegmentList:
        """Return the transcript as far as it is."""
        return msgspec.json.decode(
            self._request("GET", routes.JOB_SEGMENTS.format(id=job_id) + "?since=0"), type=SegmentList
        )

    def transcript(self, job_id: str, file_format: str = "txt") -> str:
        """Return the finished transcript."""
        return self._request(
            "GET", routes.JOB_TRANSCRIPT.format(id=job_id) + f"?format={file_format}"
        ).decode()

    def runner(self, name: str) -> RunnerInfo:
        """Return what an admin sees of a runner."""
        found = msgspec.json.decode(self._request("GET", routes.RUNNERS), type=RunnerList)
        return next(each for each in found.runners if each.name == name)

    def drain(self, name: str) -> None:
        """Let a runner finish what it holds and leave."""
        self._request("POST", routes.RUNNER_DRAIN.format(id=self.runner(name).id), b"")

    # --- waiting ------------------------------------------------------------------------------------------

    def until(self, look: Callable[[], T | None], what: str, *, timeout: float = 30.0) -> T:
        """Return what ``look`` finds, while the server runs."""
        return self.server.until(look, f"come to where {what}", timeout=timeout)

    def until_segments(self, job_id: str, count: int) -> Job:
        """Return the job once at least ``count`` segments of it are stored and it still runs."""
        self.until(lambda: self.segments(job_id).next >= count, f"{count} segments are stored")
        job = self.job(job_id)
        assert job.state is JobState.RUNNING, job
        return job

    def until_over(self, job_id: str, *, timeout: float = 60.0) -> Job:
        """Return the job once it has come to an end."""

        def look() -> Job | None:
            job = self.job(job_id)
            return job if job.state.is_over else None

        return self.until(look, "the job is over", timeout=timeout)

    def until_state(self, job_id: str, state: JobState) -> Job:
        """Return the job once it is in ``state``."""

        def look() -> Job | None:
            job = self.job(job_id)
            return job if job.state is state else None

        return self.until(look, f"the job is {state}")

    # --- HTTP ---------------------------------------------------------------------------------------------

    def _job(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Job:
        return msgspec.json.decode(self._request(method, path, body, kind), type=Job)

    def _request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> bytes:
        request = urllib.request.Request(self.installation.url + path, body, method=method)
        request.add_header("Content-Type", kind)
        if path != routes.LOGIN:
            request.add_header("Authorization", f"Bearer {self._access_token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, json.loads(error.read())) from None


def write_sound(path: Path, seconds: float, rate: int = 8000) -> Path:
    """Write a WAV file with a low saw tooth of that length."""
    period = b"".join(struct.pack("<h", 40 * step) for step in range(80))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(period * round(seconds * rate / 80))
    return path


def assert_whole(transcript: SegmentList, seconds: float) -> None:
    """Assert that the fake engine's segments of a recording are all there, each once, in order, without a seam."""
    assert transcript.complete
    assert [each.id for each in transcript.segments] == list(range(round(seconds / WINDOW_SECONDS)))
    assert [each.start for each in transcript.segments] == [
        each.id * WINDOW_SECONDS for each in transcript.segments
    ]
    assert transcript.segments[-1].end == seconds


def pause(seconds: float) -> None:
    """Let time pass where the passing of time is the thing: a lease that runs out."""
    time.sleep(seconds)
