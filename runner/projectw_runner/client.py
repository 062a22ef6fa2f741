"""The runner's calls to the server, typed by the messages of the contract."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from projectw_runner.backoff import Backoff, passes_by_itself
from projectw_runner.failures import JobFailure
from projectw_shared import routes
from projectw_shared.errors import NotFound, ProjectWError, RangeNotSatisfiable
from projectw_shared.http import Api
from projectw_shared.messages import (
    Assignment,
    Heartbeat,
    HeartbeatReply,
    HeldJob,
    Registered,
    Registration,
    Result,
    Unregister,
)

ANSWER_SECONDS = 20.0
"""How long an answer may take beyond the time for which the server was asked to hold it."""

CHUNK_BYTES = 1 << 20
SILENCE_SECONDS = 30.0
"""A download in which nothing comes for so long is broken off and resumed."""

DOWNLOAD_TRIES = 20
"""In a row, none of which brought a single byte."""

DIGEST_TRIES = 2


class RunnerClient:
    """One server, as a runner sees it. Raises ``ProjectWError``: the server's own, or ``Unreachable``.

    Nothing is tried again here but the pieces of a download: when a heartbeat or a result goes out once more
    is for those to say who know what has happened meanwhile.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def register(self, registration: Registration) -> Registered:
        """Open a session, which ends the one that the token had."""
        return await self._api.call("POST", routes.RUNNER_REGISTER, body=registration, reply=Registered)

    async def heartbeat(self, session: str, *, wait: float, job: HeldJob | None = None) -> HeartbeatReply:
        """Say that the runner lives and what it does; the answer may take ``wait`` seconds."""
        return await self._api.call(
            "POST",
            routes.RUNNER_HEARTBEAT,
            body=Heartbeat(session=session, wait=wait, job=job),
            reply=HeartbeatReply,
            timeout=wait + ANSWER_SECONDS,
        )

    async def send_result(self, job_id: str, result: Result) -> None:
        """Say how the job ended. A repeat is known by its lease and changes nothing."""
        path = routes.RUNNER_RESULT.format(id=job_id)
        await self._api.call("POST", path, body=result, reply=type(None))

    async def unregister(self, session: str) -> None:
        """End the session; a held job goes back to the queue at no cost."""
        await self._api.call(
            "POST", routes.RUNNER_UNREGISTER, body=Unregister(session=session), reply=type(None)
        )

    async def fetch_audio(self, assignment: Assignment, target: Path) -> None:
        """Write the recording to ``target``, resuming where a connection broke, and compare its digest.

        Raises ``JobFailure`` if it cannot be had whole, ``LeaseLost`` if the job has gone elsewhere.
        """
        for _ in range(DIGEST_TRIES):
            with _Download(target) as download:
                await self._fetch_whole(assignment, download)
                if download.hexdigest() == assignment.sha256.lower():
                    return
        raise JobFailure(
            "audio-corrupt",
            "The recording arrived at the runner altered: its digest is not the one that the server stored.",
            retryable=True,
        )

    async def _fetch_whole(self, assignment: Assignment, download: "_Download") -> None:
        backoff = Backoff()
        while True:
            before = download.size
            error: ProjectWError | None = None
            try:
                await self._fetch_rest(assignment, download)
                if download.size >= assignment.bytes:
                    return
            except NotFound as missing:
                raise JobFailure(
                    "audio-missing", "The server does not have this recording any more."
                ) from missing
            except RangeNotSatisfiable as outside:
                download.restart()
                error = outside
            except ProjectWError as broken:
                if not passes_by_itself(broken):
                    raise
                error = broken
            if download.size > before:
                backoff.reset()
            if backoff.tries >= DOWNLOAD_TRIES:
                raise JobFailure(
                    "download-failed", "The recording could not be fetched from the server.", retryable=True
                ) from error
            await backoff.pause(error)

    async def _fetch_rest(self, assignment: Assignment, download: "_Download") -> None:
        async with self._api.open(
            "GET",
            routes.RUNNER_AUDIO.format(id=assignment.id),
            query={"lease": assignment.lease},
            # A compressed body could not be resumed, and recordings do not shrink.
            headers={"Accept-Encoding": "identity", **download.range_headers()},
            timeout=None,
            idle_timeout=SILENCE_SECONDS,
        ) as response:
            if response.status != 206 or not download.continues(response.headers.get("Content-Range", "")):
                download.restart()
            download.etag = response.headers.get("ETag")
            chunks: AsyncIterator[bytes] = response.content.iter_chunked(CHUNK_BYTES)
            async for chunk in chunks:
                if download.size + len(chunk) > assignment.bytes:
                    raise JobFailure(
                        "audio-corrupt", "The server sent more than the recording's length.", retryable=True
                    )
                await asyncio.to_thread(download.write, chunk)


class _Download:
    """A file that grows and knows its SHA-256."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.etag: str | None = None

    def __enter__(self) -> Self:
        # Unbuffered, so that a full disk shows at the write that meets it.
        self._file = open(self._path, "wb", buffering=0, opener=_private)
        self._hash = hashlib.sha256()
        self.size = 0
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def restart(self) -> None:
        if self.size:
            self._file.seek(0)
            self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def range_headers(self) -> dict[str, str]:
        """Ask for the rest, if it is still of the same file, which a weak ETag cannot say (RFC 9110, 13.1.5)."""
        if not self.size or not self.etag or self.etag.startswith("W/"):
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag}

    def continues(self, content_range: str) -> bool:
        return content_range.startswith(f"bytes {self.size}-")

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise _no_room(error) from error
        self._hash.update(chunk)
        self.size += len(chunk)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _private(path: str, flags: int) -> int:
    """Open a file that its owner alone may read, wherever it lies."""
    return os.open(path, flags, 0o600)


def _no_room(error: OSError) -> JobFailure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "The runner's disk is full."
    else:
        reason = "The runner could not write the recording to its disk."
    return JobFailure("runner-disk", reason, retryable=True)
