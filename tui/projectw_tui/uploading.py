"""One recording on its way up: streamed from disk, and never two jobs out of one wish."""

import asyncio
import mimetypes
import random
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from projectw_shared import routes
from projectw_shared.accounts import User
from projectw_shared.errors import (
    BadRequest,
    KeyInUse,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from projectw_shared.http import MAX_PAUSE, Api, encoded, read_reply
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

PIECE = 256 * 1024
"""Bytes that are read from disk at a time."""

STALL = 60.0
"""Seconds in which not one piece went out, or no answer came after the last: the line is dead."""

ATTEMPTS = 5

PASSING = (Unreachable, Unavailable, TooManyRequests, KeyInUse)


class Upload(NamedTuple):
    """A file, and what is to be done with it."""

    path: Path
    settings: JobSettings

    @property
    def media_type(self) -> str:
        """The type that the name suggests, if it is one that carries sound."""
        guess = mimetypes.guess_type(self.path.name)[0] or ""
        return guess if guess.startswith(("audio/", "video/")) else "application/octet-stream"


async def send(api: Api, upload: Upload, *, progress: Callable[[int, int], None] | None = None) -> Job:
    """Send one recording and return its job. Raises OSError when the file cannot be read.

    A try that broke off is repeated from the start under the same Idempotency-Key, so that the server
    answers with the job that it may have made already.
    """
    key = str(uuid.uuid4())
    signed_in_again = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _send_once(api, upload, key, progress)
        except Unauthorized:
            if signed_in_again:
                raise
            # A stream cannot be sent again by the client base; a small request renews the session.
            await api.call("GET", routes.ME, reply=User)
            signed_in_again = True
        except PASSING as error:
            if attempt == ATTEMPTS or (error.retry_after or 0) > MAX_PAUSE:
                raise
            await asyncio.sleep(max(error.retry_after or 0, random.uniform(0.2, 2.0 ** (attempt - 1))))  # noqa: S311
    raise AssertionError("the last attempt returns or raises")


async def _send_once(api: Api, upload: Upload, key: str, progress: Callable[[int, int], None] | None) -> Job:
    with await asyncio.to_thread(upload.path.open, "rb") as file:
        size = upload.path.stat().st_size
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STALL) as limit:

                def sent(count: int) -> None:
                    limit.reschedule(loop.time() + STALL)
                    if progress is not None:
                        progress(count, size)

                async with api.open(
                    "POST",
                    routes.JOBS,
                    data=_pieces(file, size, sent),
                    query={
                        # A name with bytes that are no UTF-8 reaches Python as surrogates, which no URL takes.
                        "file_name": upload.path.name.encode(errors="replace").decode(),
                        "settings": encoded(upload.settings).decode(),
                    },
                    headers={
                        "Content-Type": upload.media_type,
                        "Content-Length": str(size),
                        "Idempotency-Key": key,
                    },
                    timeout=None,
                ) as response:
                    return await read_reply(response, Job)
        except TimeoutError:
            raise Unreachable(f"{api.server_url} took nothing for {STALL:.0f} seconds") from None


async def _pieces(file: BinaryIO, size: int, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    count = 0
    while count < size:
        piece = await asyncio.to_thread(file.read, min(PIECE, size - count))
        if not piece:
            raise BadRequest(
                "the file became shorter while it was being sent; send it again when it is whole"
            )
        yield piece
        count += len(piece)
        sent(count)
