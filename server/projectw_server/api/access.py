"""Around the application: what every answer carries, and one line of log for every request."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from projectw_shared import routes
from projectw_shared.ids import new_id
from projectw_shared.text import shorten

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "projectw.caller"
"""Where in the ASGI scope the caller stands once it is known, as ``{"user": ID}`` or ``{"runner": ID}``."""

QUIET = (routes.HEALTH, routes.READY, routes.METRICS, routes.RUNNER_HEARTBEAT)
"""Asked every few seconds by machines: logged at debug level, unless it went wrong."""

LONGEST_PATH = 500
"""Characters of a path that are logged: anybody may send one that is a hundred times longer than ours."""

CLIENT_GONE = 499
"""Logged for a request that had no answer because its client left: nginx's number for it."""

# An answer's own value of any of these wins.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)

_log = structlog.get_logger("projectw.access")


class Access:
    """Wraps the ASGI application, so that nothing that it answers gets past, its own failures included."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        status, began, request_id = CLIENT_GONE, time.monotonic(), new_id()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _completed(message["headers"], request_id)}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._application(scope, receive, answer)
            finally:
                _log_request(scope, status, time.monotonic() - began)


def _completed(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    given = [(bytes(name), bytes(value)) for name, value in headers]
    names = {name.lower() for name, _ in given}
    missing = [(name, value) for name, value in HEADERS if name not in names]
    return [*given, *missing, (b"x-request-id", request_id.encode())]


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    # The path only: what stands behind the question mark may be a secret or a person's search.
    _log.log(
        logging.DEBUG if scope["path"] in QUIET and status < 400 else logging.INFO,
        "request",
        method=scope["method"],
        path=shorten(scope["path"], LONGEST_PATH),
        status=status,
        ms=round(seconds * 1000, 1),
        **scope.get(CALLER, {}),
    )
