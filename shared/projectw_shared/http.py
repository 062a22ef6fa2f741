"""The clients' way to the server: authorisation, retries, and problems turned back into exceptions.

The only module of this package that does network.
"""

import errno
import math
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import aiohttp
import msgspec
import stamina
import stamina.instrumentation

from projectw_shared.addresses import check_server_url
from projectw_shared.errors import (
    BadRequest,
    ProjectWError,
    TooManyRequests,
    TooSlow,
    Unauthorized,
    Unavailable,
    Unreachable,
    from_problem,
)
from projectw_shared.ids import is_id, new_id
from projectw_shared.text import safe, shorten

__all__ = ["Api", "Credentials", "Exchange", "FixedToken", "check_server_url", "encoded", "read_reply"]

T = TypeVar("T")

RETRIED = (Unreachable, Unavailable, TooManyRequests, TooSlow)
"""What may pass by itself. Nothing else is tried again."""

MAX_PAUSE = 30.0
"""Seconds: a longer Retry-After is for the caller to decide on, not for one call to sleep through."""

MAX_PROBLEM_BYTES = 65_536
"""What is read of an error answer; a proxy's page may be of any size."""

MAX_REPLY_BYTES = 256 * 1024 * 1024
"""What is read of an answer that is decoded: a day of speech with the times of its words is a tenth of that."""

SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Credentials(Protocol):
    """Where the bearer token of each request comes from."""

    async def bearer(self) -> str | None:
        """Return the token to send, or None to go without."""

    async def renew(self, refused: str) -> bool:
        """Try to replace the token that was ``refused``; tell whether another try makes sense."""


class FixedToken:
    """A token that is given and cannot be renewed: a runner's, or an API token."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def bearer(self) -> str | None:
        """Return the token."""
        return self._token

    async def renew(self, refused: str) -> bool:
        """Return False: there is no other."""
        return False


@dataclass(frozen=True)
class Exchange:
    """One request and the beginning of its answer, for a log. ``status`` is None when none came."""

    method: str
    path: str
    request_id: str
    status: int | None
    seconds: float
    job_id: str | None

    def fields(self) -> dict[str, Any]:
        """Return what a line of log says of it, under the names that the server's log has."""
        named = {"job_id": self.job_id} if self.job_id else {}
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "ms": round(self.seconds * 1000, 1),
            "request_id": self.request_id,
            **named,
        }


class Api:
    """One server, as seen by a client program.

    Use it as an async context manager. Every method raises a ``ProjectWError``: the server's own, or
    ``Unreachable`` when no answer came. Each request carries an X-Request-ID of its own, under which the server
    logs it; ``on_exchange`` hears of each.
    """

    def __init__(
        self,
        server_url: str,
        *,
        credentials: Credentials,
        user_agent: str,
        ca_file: Path | None = None,
        allow_plain_http: bool = False,
        on_exchange: Callable[[Exchange], object] | None = None,
    ) -> None:
        self.server_url = check_server_url(server_url, allow_plain_http=allow_plain_http)
        self._credentials = credentials
        self._user_agent = user_agent
        self._on_exchange = on_exchange
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # stamina logs each retry through structlog when that is installed, and an unconfigured structlog
        # writes to stdout, where a command's data goes.
        stamina.instrumentation.set_on_retry_hooks(())
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": self._user_agent},
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            # Reading has no limit of its own: each call sets its timeout, and streams last.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        reply: type[T],
        body: msgspec.Struct | None = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
        repeatable: bool | None = None,
    ) -> T:
        """Send ``body`` as JSON and decode the answer as ``reply`` (``type(None)`` for an empty one).

        What is idempotent by its method, or by ``repeatable``, is tried up to ``attempts`` times with
        growing, jittered pauses, at least as long as the server's Retry-After; one of more than
        ``MAX_PAUSE`` ends the tries. ``timeout``: seconds, each try.
        """
        if repeatable is None:
            repeatable = method in SAFE_TO_REPEAT

        async def once() -> T:
            async with self.open(
                method,
                path,
                data=None if body is None else encoded(body),
                query=query,
                headers={**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})},
                timeout=timeout,
            ) as response:
                return await read_reply(response, reply)

        if not repeatable:
            return await once()
        async for attempt in stamina.retry_context(
            on=_pause_before_retry, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return await once()
        raise AssertionError("stamina raises when the attempts are spent")

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 30.0,
        idle_timeout: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and hold its answer open, for streams; an error answer is raised.

        A 401 is answered once by renewing the credentials, if ``data`` can be sent again (bytes or None).
        ``timeout`` bounds the whole exchange and ``idle_timeout`` each silence in it, both in seconds.
        A connection that breaks while the caller reads is ``Unreachable`` too; the caller's own errors,
        such as a full disk, pass through. An iterator in ``data`` has to remember its own errors: aiohttp
        wraps what it raises, and it comes out as ``Unreachable``.
        """
        if self._session is None:
            raise RuntimeError("Api is used inside 'async with'")
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10, sock_read=idle_timeout)
        parameters = {key: str(value) for key, value in (query or {}).items() if value is not None}
        try:
            for last in (False, True):
                token = await self._credentials.bearer()
                authorization = _authorization(token)
                request = self._session.request(
                    method,
                    self.server_url + path,
                    data=data,
                    params=parameters,
                    headers={**authorization, "X-Request-ID": (request_id := new_id()), **(headers or {})},
                    timeout=limits,
                    allow_redirects=False,
                )
                async with self._told(request, method, path, request_id) as response:
                    if response.status < 300:
                        yield response
                        return
                    error = await self._error_of(response)
                again = not last and (data is None or isinstance(data, bytes))
                if not (
                    again
                    and token
                    and isinstance(error, Unauthorized)
                    and await self._credentials.renew(token)
                ):
                    raise error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unreachable(f"{self.server_url} cannot be reached: {_reason(error)}") from error

    @asynccontextmanager
    async def _told(
        self,
        request: AbstractAsyncContextManager[aiohttp.ClientResponse],
        method: str,
        path: str,
        request_id: str,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Hold ``request`` open, and tell of it once its answer begins or none has come."""
        began, status, where = time.monotonic(), None, path
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(request)
                status, where = response.status, response.headers.get("Location", path)
            finally:
                if self._on_exchange is not None:
                    job_id = _job_in(path) or _job_in(where)
                    seconds = time.monotonic() - began
                    self._on_exchange(Exchange(method, path, request_id, status, seconds, job_id))
            yield response

    async def _error_of(self, response: aiohttp.ClientResponse) -> ProjectWError:
        if response.status < 400:
            target = shorten(safe(response.headers.get("Location", "another place")), 200)
            return Unreachable(f"{self.server_url} sends on to {target}; is the address right?")
        body = b""
        async for chunk in response.content.iter_chunked(MAX_PROBLEM_BYTES):
            body += chunk
            if len(body) > MAX_PROBLEM_BYTES:
                break
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        return from_problem(response.status, body, retry_after=retry_after)


def _job_in(path: str) -> str | None:
    """Return the id of the job that a path of the API names."""
    before, _, rest = path.partition("/jobs/")
    job_id = rest.partition("/")[0]
    return job_id if before.startswith("/api") and is_id(job_id) else None


def encoded(body: msgspec.Struct) -> bytes:
    """Return ``body`` as JSON. Raises BadRequest for text that is none: Python makes it of bytes that are no UTF-8."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise BadRequest("The request holds bytes that are no text; give all of it in UTF-8") from error


def _authorization(token: str | None) -> dict[str, str]:
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise Unauthorized("This token holds characters that no token has; copy it anew, or sign in again")
    return {"Authorization": f"Bearer {token}"}


def _pause_before_retry(error: Exception) -> bool | float:
    """Say to stamina whether to try again, and after how many seconds at least."""
    if not isinstance(error, RETRIED):
        return False
    if not error.retry_after:
        return True
    if error.retry_after > MAX_PAUSE:
        return False
    # stamina adds no jitter to a pause that it is given: a crowd would come back at the same moment.
    return error.retry_after * random.uniform(1.0, 1.25)  # noqa: S311  nothing is kept secret by it


async def read_reply(response: aiohttp.ClientResponse, reply: type[T]) -> T:
    """Read an answer whole and decode it as ``reply``; Unreachable when it is not one of Project W's."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise Unreachable("the answer has no end; is the address right?")
    if reply is type(None):
        return None
    try:
        return msgspec.json.decode(body, type=reply)
    # Not only DecodeError: bytes that are no UTF-8, and thousands of brackets.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(f"the answer is not Project W's: {error}; is the address right?") from error


def _seconds(retry_after: str) -> float | None:
    """Read Retry-After; its other form, a date, counts as absent."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not trusted here ({error.certificate_error}); set ca_file if it is your own"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        # The operating system's own words: "Connection refused"; asyncio's would repeat the address.
        number = error.os_error.errno
        known = number is not None and number in errno.errorcode
        return os.strerror(number or 0) if known else error.os_error.strerror or "no connection"
    return str(error) or type(error).__name__
