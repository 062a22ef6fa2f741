"""A refusal as ASGI messages, for where the framework has not been reached: it costs next to nothing."""

from math import ceil

import msgspec

from projectw_server.api.access import Send
from projectw_server.api.problems import CONTENT_TYPE
from projectw_shared.errors import ProjectWError, to_problem


async def refuse(send: Send, error: ProjectWError, *, close: bool = False) -> None:
    """Answer with ``error``, and with ``close`` end the connection."""
    body = msgspec.json.encode(to_problem(error))
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(max(1, ceil(error.retry_after or 0))).encode()),
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
