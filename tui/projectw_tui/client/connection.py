"""One server, as the terminal uses it: the session, jobs, and what is called about accounts."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp

from projectw_shared import __version__, routes
from projectw_shared.accounts import Login, Refresh, Tokens
from projectw_shared.errors import Unauthorized
from projectw_shared.http import Api, Credentials, FixedToken
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import About, Estimate, EstimateWish, Job, JobList, SegmentList
from projectw_tui.client.accounts import Accounts
from projectw_tui.client.admin import Administration
from projectw_tui.client.paths import path_of
from projectw_tui.keyrings import SystemKeyring
from projectw_tui.logs import RequestLog
from projectw_tui.session import Session, SessionCredentials, SessionStore
from projectw_tui.settings import TuiSettings
from projectw_tui.uploading import Upload, send

USER_AGENT = f"projectw/{__version__}"

PIECE = 64 * 1024
"""Bytes of a transcript that are read at a time."""


class Client:
    """One server, as the terminal uses it. Use it as an async context manager.

    With a ``token`` that is what every request carries; else the session of the person, kept between programs.
    Every method raises a ``ProjectWError``; the constructor raises ValueError for an address that is none and
    OSError for a certificate file that cannot be read or a log file that cannot be written.
    ``accounts`` and ``admin`` hold the calls about those.
    """

    def __init__(self, settings: TuiSettings, *, token: str | None = None) -> None:
        self.store = SessionStore(
            settings.server_url.rstrip("/"),
            settings.state_path,
            SystemKeyring() if settings.use_keyring else None,
        )
        self._session = None if token else SessionCredentials(self.store, self._exchange)
        log = RequestLog(settings.log_file, settings.log_format) if settings.log_file else None
        self._anonymous = _api(settings, FixedToken(None), log)
        self._api = _api(settings, self._session or FixedToken(token), log)
        self.accounts = Accounts(self._anonymous, self._api, self.is_signed_in, self._forget)
        self.admin = Administration(self._api)
        self._stack = AsyncExitStack()

    @property
    def server_url(self) -> str:
        """The address of the server."""
        return self._api.server_url

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._anonymous)
        await self._stack.enter_async_context(self._api)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    # --- who one is ---------------------------------------------------------------------------------------

    async def is_signed_in(self) -> bool:
        """Tell whether there is a token to send; the server alone knows whether it still counts."""
        return self._session is None or await self._session.current() is not None

    async def email(self) -> str | None:
        """Return the address that signed in, without asking the server; None with a given token."""
        session = await self._session.current() if self._session else None
        return session.email if session else None

    async def login(self, email: str, password: str) -> None:
        """Open a session and keep it."""
        tokens = await self._anonymous.call("POST", routes.LOGIN, body=Login(email, password), reply=Tokens)
        if self._session is not None:
            await self._session.begin(Session.begin(email, tokens))

    async def logout(self) -> None:
        """End the session at the server, if that can be reached, and forget it here in any case."""
        try:
            await self._api.call("POST", routes.LOGOUT, reply=type(None), timeout=10)
        except Unauthorized:
            pass  # it was over already
        finally:
            await self._forget()

    async def about(self) -> About:
        """Return what anyone may know of the server."""
        return await self._anonymous.call("GET", routes.ABOUT, reply=About)

    # --- jobs ---------------------------------------------------------------------------------------------

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobList:
        """Return one page of the person's jobs, newest first."""
        query = {"state": state, "q": q or None, "limit": limit, "cursor": cursor}
        return await self._api.call("GET", routes.JOBS, reply=JobList, query=query)

    async def job(self, job_id: str) -> Job:
        """Return one job."""
        return await self._api.call("GET", path_of(routes.JOB, job_id), reply=Job)

    async def estimate(self, wish: EstimateWish) -> Estimate:
        """Return what would become of a job that is submitted now."""
        return await self._api.call("POST", routes.ESTIMATE, body=wish, reply=Estimate, repeatable=True)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end; one that runs goes on until its runner has let go."""
        return await self._api.call("POST", path_of(routes.JOB_CANCEL, job_id), reply=Job, repeatable=True)

    async def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again."""
        return await self._api.call("POST", path_of(routes.JOB_RETRY, job_id), reply=Job)

    async def delete(self, job_id: str) -> None:
        """Delete a job with its recording and its transcript."""
        await self._api.call("DELETE", path_of(routes.JOB, job_id), reply=type(None))

    async def segments(self, job_id: str, since: int = 0) -> SegmentList:
        """Return the transcript from segment ``since`` to its present end."""
        path = path_of(routes.JOB_SEGMENTS, job_id)
        return await self._api.call("GET", path, reply=SegmentList, query={"since": since}, timeout=120)

    @asynccontextmanager
    async def transcript(self, job_id: str, file_format: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Hold open the finished transcript in ``file_format``, to be read piece by piece."""
        path = path_of(routes.JOB_TRANSCRIPT, job_id)
        query = {"format": file_format}
        async with self._api.open("GET", path, query=query, timeout=None, idle_timeout=60) as response:
            yield response.content.iter_chunked(PIECE)

    async def upload(
        self, path: Path, settings: JobSettings, *, progress: Callable[[int, int], None] | None = None
    ) -> Job:
        """Send a recording; ``progress`` is told the bytes sent and the bytes in all."""
        return await send(self._api, Upload(path, settings), progress=progress)

    @asynccontextmanager
    async def events(self, last_id: int | None) -> AsyncIterator[aiohttp.StreamReader]:
        """Hold the stream of events open, from after the change ``last_id`` if it is given."""
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        # The server writes a comment every 15 seconds; a line that is silent for three of them is dead.
        async with self._api.open(
            "GET", routes.EVENTS, headers=headers, timeout=None, idle_timeout=45
        ) as response:
            yield response.content

    async def _forget(self) -> None:
        if self._session is not None:
            await self._session.end()

    async def _exchange(self, refresh_token: str) -> Tokens:
        body = Refresh(refresh_token)
        return await self._anonymous.call("POST", routes.REFRESH, body=body, reply=Tokens)


async def save_transcript(client: Client, job_id: str, file_format: str, target: Path) -> int:
    """Write the transcript to ``target``, whole or not at all; return its bytes. Raises OSError too."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    beside = target.with_name(f".{target.name}.part")
    size = 0
    try:
        async with client.transcript(job_id, file_format) as pieces:
            with await asyncio.to_thread(beside.open, "wb") as file:
                async for piece in pieces:
                    size += await asyncio.to_thread(file.write, piece)
        beside.replace(target)
    except BaseException:  # raised again: whatever ended it, Ctrl-C too, no half file stays
        beside.unlink(missing_ok=True)
        raise
    return size


def _api(settings: TuiSettings, credentials: Credentials, log: RequestLog | None) -> Api:
    return Api(
        settings.server_url,
        credentials=credentials,
        user_agent=USER_AGENT,
        ca_file=settings.ca_file,
        allow_plain_http=settings.allow_plain_http,
        on_exchange=log,
    )
