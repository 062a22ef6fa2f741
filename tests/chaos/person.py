"""A user's client: it submits, looks, cancels, tries again and deletes, and says everything twice if told to."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from projectw_shared import routes
from projectw_shared.accounts import Login, Tokens
from projectw_shared.errors import (
    BadRequest,
    Internal,
    KeyInUse,
    ProjectWError,
    StorageFull,
    TooManyRequests,
    Unavailable,
    Unreachable,
)
from projectw_shared.http import Api, FixedToken, read_reply
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import CreatedRunner, Job, NewRunner, SegmentList

T = TypeVar("T")

PASSING = (BadRequest, Internal, KeyInUse, StorageFull, TooManyRequests, Unavailable, Unreachable)
"""After these the same may be tried again; BadRequest is what a broken upload is answered."""

PAUSE_SECONDS = 0.1
CALL_SECONDS = 5.0
USER_AGENT = "chaos/1"


class SignIn:
    """Credentials of somebody who signs in, and again when the token has run out, as when the server's clock jumps."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._url = url
        self._login = Login(email, password)
        self._token: str | None = None

    async def bearer(self) -> str | None:
        """Return the token of the last sign-in."""
        if self._token is None:
            async with Api(self._url, credentials=FixedToken(None), user_agent=USER_AGENT) as api:
                tokens = await api.call("POST", routes.LOGIN, body=self._login, reply=Tokens)
            self._token = tokens.access_token
        return self._token

    async def renew(self, refused: str) -> bool:
        """Forget the token that was refused: the next one is asked for."""
        if self._token == refused:
            self._token = None
        return True


class Person:
    """Somebody who is signed in. Everything is tried until it has an answer; ``doubles``: is sent twice at once."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.doubles = False
        self._api = Api(url, credentials=SignIn(url, email, password), user_agent=USER_AGENT)

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._api.__aexit__()

    async def submit(self, file: Path, settings: JobSettings, name: str | None = None) -> Job:
        """Submit a recording under a key of its own until it is acknowledged."""
        body, key = file.read_bytes(), str(uuid.uuid4())

        async def once() -> Job:
            async with self._api.open(
                "POST",
                routes.JOBS,
                data=body,
                query={"file_name": name or file.name, "settings": msgspec.json.encode(settings).decode()},
                headers={"Content-Type": "application/octet-stream", "Idempotency-Key": key},
                timeout=2 * CALL_SECONDS,
            ) as response:
                return await read_reply(response, Job)

        return await self._until_answered(once)

    async def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return await self._call("GET", routes.JOB, job_id, Job)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return await self._call("POST", routes.JOB_CANCEL, job_id, Job)

    async def retry(self, job_id: str) -> Job:
        """Let a job be tried again."""
        return await self._call("POST", routes.JOB_RETRY, job_id, Job)

    async def delete(self, job_id: str) -> None:
        """Delete a job."""
        await self._call("DELETE", routes.JOB, job_id, type(None))

    async def segments(self, job_id: str) -> SegmentList:
        """Return what there is of a transcript."""
        return await self._call("GET", routes.JOB_SEGMENTS, job_id, SegmentList)

    async def peep(self, job_id: str) -> None:
        """Ask for everything of a job, whoever it belongs to; the proxy notes what the answers were."""
        for path in (routes.JOB, routes.JOB_SEGMENTS, routes.JOB_AUDIO, routes.JOB_TRANSCRIPT):
            with suppress(ProjectWError):
                async with self._api.open("GET", path.format(id=job_id), timeout=CALL_SECONDS) as response:
                    await response.read()

    async def make_runner(self, name: str) -> CreatedRunner:
        """Make a runner's account, or two when an answer is lost; for an admin."""

        async def once() -> CreatedRunner:
            return await self._api.call(
                "POST", routes.RUNNER_CREATE, body=NewRunner(name), reply=CreatedRunner
            )

        return await self._until_answered(once)

    async def _call(self, method: str, path: str, job_id: str, reply: type[T]) -> T:
        async def once() -> T:
            return await self._api.call(
                method, path.format(id=job_id), reply=reply, timeout=CALL_SECONDS, attempts=1
            )

        return await self._until_answered(once)

    async def _until_answered(self, once: Callable[[], Coroutine[Any, Any, T]]) -> T:
        while True:
            with suppress(*PASSING):
                first, *_ = await asyncio.gather(
                    *(once() for _ in range(2 if self.doubles else 1)), return_exceptions=True
                )
                if isinstance(first, BaseException):
                    raise first
                return first
            await asyncio.sleep(PAUSE_SECONDS)
