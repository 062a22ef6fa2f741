"""Request bodies with back-pressure.

Quart's own body takes whatever arrives, without bound: a client that is faster than the disk fills the
memory (1 GB uploaded was seen to cost 932 MB). Here the connection is read only as fast as the body is.
"""

import asyncio
from typing import cast

from hypercorn.typing import ASGIReceiveCallable
from quart.asgi import ASGIHTTPConnection
from quart.wrappers import Request
from quart.wrappers.request import Body

BUFFERED_BYTES = 1024 * 1024
"""How much of a body waits in memory before the client has to."""

BODILESS = frozenset({"GET", "HEAD"})
"""Methods whose body has no meaning (RFC 9110, 9.3.1) and is dropped."""


class BoundedBody(Body):
    """A body that is read by iteration and holds at most one chunk more than ``BUFFERED_BYTES``."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._room = asyncio.Event()

    async def put(self, data: bytes) -> None:
        """Add ``data``, and wait until it makes sense to bring more."""
        self.append(data)
        if len(self._data) >= BUFFERED_BYTES:
            self._room.clear()
            await self._room.wait()

    async def __anext__(self) -> bytes:
        """Return what has arrived, and ask for more."""
        data = await super().__anext__()
        self._room.set()
        return data


class BoundedRequest(Request):
    """A request whose body is bounded."""

    body_class = BoundedBody


class BoundedConnection(ASGIHTTPConnection):
    """Reads from the client no faster than the request's body is read."""

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Hand the body on until the client goes away."""
        body = cast("BoundedBody", request.body)
        while True:
            message = await receive()
            if message["type"] == "http.request":
                # Nobody reads the body of a GET: waiting for that would hide that the client has gone.
                await body.put(b"" if request.method in BODILESS else message.get("body", b""))
                if not message.get("more_body", False):
                    body.set_complete()
            elif message["type"] == "http.disconnect":
                return
