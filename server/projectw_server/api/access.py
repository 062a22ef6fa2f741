"""Around the application: what every answer carries, and one line of log for every request."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from projectw_server.api.directory import Directory
from projectw_server.api.headers import completed
from projectw_server.api.peers import settle
from projectw_server.api.visits import VISIT, Visit
from projectw_server.metrics.requests import OTHER, RequestMetrics
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

JOB = "projectw.job"
"""Where in the ASGI scope the id of the job stands that the request is about, once that is known."""

DOOR = "projectw.door"
"""Where in the ASGI scope the request's door stands, if it is for one."""

REFUSED = "projectw.refused"
"""In the ASGI scope of a request that was turned away because the server is busy."""

GIVEN_ID = re.compile(rb"(?!pw[a-z]_)[A-Za-z0-9._-]{1,64}")
"""What may come in as X-Request-ID and is taken over; anything else is replaced, a token in the wrong place too."""

QUIET = (routes.HEALTH, routes.READY, routes.METRICS, routes.RUNNER_HEARTBEAT)
"""Asked every few seconds by machines: logged at debug level, unless it went wrong."""

LONGEST_PATH = 500
"""Characters of a path that are logged: anybody may send one that is a hundred times longer than ours."""

CLIENT_GONE = 499
"""Logged for a request that had no answer because its client left: nginx's number for it."""

_log = structlog.get_logger("projectw.access")


class Access:
    """Wraps the ASGI application, so that nothing that it answers gets past, its own failures included."""

    def __init__(self, application: Application, directory: Directory, metrics: RequestMetrics) -> None:
        self._application = application
        self._directory = directory
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        settle(scope)
        status, began, request_id = CLIENT_GONE, time.monotonic(), _request_id(scope)
        route, scope[DOOR] = self._directory.find(scope["method"], scope["path"])

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [
                        *completed(message["headers"], scope.get("scheme", "http")),
                        (b"x-request-id", request_id.encode()),
                    ],
                }
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._application(scope, receive, answer)
            finally:
                seconds = time.monotonic() - began
                visit: Visit | None = scope.get(VISIT)
                worked = seconds - (visit.held_seconds if visit else 0.0)
                self._metrics.note(route or OTHER, scope["method"], status, worked)
                _log_request(scope, status, seconds)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and GIVEN_ID.fullmatch(value):
            return bytes(value).decode()
    return new_id()


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    is_quiet = (scope["path"] in QUIET and status < 400) or REFUSED in scope
    # The path only: what stands behind the question mark may be a secret or a person's search.
    _log.log(
        logging.DEBUG if is_quiet else logging.INFO,
        "request",
        method=scope["method"],
        path=shorten(scope["path"], LONGEST_PATH),
        status=status,
        ms=round(seconds * 1000, 1),
        **scope.get(CALLER, {}),
        **({"job_id": scope[JOB]} if JOB in scope else {}),
    )
