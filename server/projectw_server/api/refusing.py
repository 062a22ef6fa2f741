"""A refusal as ASGI messages or as bytes, for where the framework has not been reached: it costs next to nothing."""

from http import HTTPStatus
from math import ceil

import msgspec

from projectw_server.api.access import Send
from projectw_server.api.headers import Header, completed
from projectw_server.api.problems import CONTENT_TYPE, RETRY_LATER
from projectw_shared.errors import ProjectWError, to_problem


async def refuse(send: Send, error: ProjectWError, *, close: bool = False, scheme: str = "http") -> None:
    """Answer with ``error``, and with ``close`` end the connection."""
    headers, body = _answer(error, scheme)
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refusal(error: ProjectWError, scheme: str) -> bytes:
    """Return ``error`` as a whole HTTP answer after which the connection ends."""
    headers, body = _answer(error, scheme)
    lines = [b"%b: %b" % header for header in [*headers, (b"connection", b"close")]]
    status = b"HTTP/1.1 %d %b" % (error.status, HTTPStatus(error.status).phrase.encode())
    return b"\r\n".join([status, *lines, b"", body])


def _answer(error: ProjectWError, scheme: str) -> tuple[list[Header], bytes]:
    body = msgspec.json.encode(to_problem(error))
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if error.status in RETRY_LATER:
        headers.append((b"retry-after", str(max(1, ceil(error.retry_after or 0))).encode()))
    return completed(headers, scheme), body
