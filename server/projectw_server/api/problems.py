"""The one place where errors become ``application/problem+json`` (RFC 9457)."""

import re
from collections.abc import Callable
from math import ceil
from typing import Any

import msgspec
import structlog
from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from projectw_server.api.identity import bearer_token
from projectw_shared import __version__
from projectw_shared.errors import Internal, ProjectWError, TooSlow, kind_of, to_problem
from projectw_shared.ids import new_id

CONTENT_TYPE = "application/problem+json"
RETRY_LATER = (429, 503)

Translate = Callable[[Exception], ProjectWError | None]
"""Reads an error of a library as one of ours; None for what nobody foresaw."""

# Their text comes from the framework and speaks of URLs; ours speaks of the API.
_SENTENCES = {
    404: f"Project W {__version__} has no such route; /openapi.json lists those it has. A client newer than its server "
    "may ask for one that comes with an upgrade of the server",
    405: "This route does not know that method; the header Allow names those that it knows",
    429: "Too many requests from this address; the header Retry-After says in how many seconds to try again",
}

_log = structlog.get_logger(__name__)


def install(app: Quart, translate: Translate) -> None:
    """Make every error of ``app`` a problem. Being cancelled is none: the client has gone."""

    async def of_ours(error: ProjectWError) -> Response:
        return problem(error)

    async def of_framework(error: HTTPException) -> Response:
        kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        return _answer(_document(error), kept)

    async def unforeseen(error: Exception) -> Response:
        known = translate(error)
        if known is not None:
            _log.warning("a service did not answer", error=str(error), code=known.code)
            return problem(known)
        reference = new_id()
        _log.error("unforeseen error", reference=reference, exc_info=error)
        return problem(
            Internal(
                f"Something went wrong in the server; its log has the details under {reference}",
                reference=reference,
            )
        )

    app.register_error_handler(ProjectWError, of_ours)
    app.register_error_handler(HTTPException, of_framework)
    app.register_error_handler(Exception, unforeseen)


def problem(error: ProjectWError) -> Response:
    """Return the answer that tells of ``error``."""
    answer = _answer(to_problem(error), {})
    if answer.status_code in RETRY_LATER and error.retry_after:
        answer.headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    return answer


def _answer(document: dict[str, Any], headers: dict[str, str]) -> Response:
    status = document["status"]
    if status == 401:
        headers = {**headers, "WWW-Authenticate": _challenge()}
    if status in RETRY_LATER:
        headers = {"Retry-After": "1", **headers}
    if status == TooSlow.status:
        # What of the request is still to come would keep the connection.
        headers = {"Connection": "close", **headers}
    body = msgspec.json.encode(document)
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def _challenge() -> str:
    """Return what RFC 6750, 3 asks for: an error code only when a token was sent."""
    return 'Bearer error="invalid_token"' if bearer_token() is not None else "Bearer"


def _document(error: HTTPException) -> dict[str, Any]:
    """Return the problem of the framework's ``error``: our class of that status, or one after its name."""
    status = error.code or Internal.status
    detail = _SENTENCES.get(status) or error.description or error.name
    kind = kind_of(status)
    if kind is not None:
        return to_problem(kind(detail))
    code = re.sub(r"[^a-z]+", "-", error.name.lower()).strip("-")
    return {
        "type": f"/problems/{code}",
        "title": error.name,
        "status": status,
        "detail": detail,
        "code": code,
    }
