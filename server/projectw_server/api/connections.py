"""HTTP connections with an end: Uvicorn's parser takes a head of any length, for as long as a client likes.

Seen without this: one header of 300 MB, from anybody, took 500 MB and held up every other request for minutes,
because the parser joins what has come of a header anew with each piece.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projectw_server.api.access import Receive, Scope, Send
from projectw_server.api.refusing import refuse
from projectw_shared.errors import Busy

MAX_HEAD_BYTES = 64 * 1024
"""What may arrive without ending a head or bringing a byte of body; one read of the socket may come on top."""

HEAD_SECONDS = 30.0
"""How long a client may take for the head of a request, and to go on sending a body that was answered already."""

SILENT_SECONDS = 300.0
"""How long a client may take nothing of an answer that waits for it: a live stream has no other end."""


EXCESS = 256
"""Connections beyond the most that are still answered, with 503; further ones are closed at once."""

EXCESS_SECONDS = 2.0
"""How long one of those may take for its request."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client that sends endless heads, or none, or that reads no answer.

    Beyond ``most`` connections each further one gets a 503, without its request coming any further; ``on_excess`` is
    called for each.
    """

    def __init__(
        self,
        *arguments: Any,
        most: int | None = None,
        on_excess: Callable[[], object] = lambda: None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._most = most
        self._on_excess = on_excess
        self._head_seconds = HEAD_SECONDS
        self._idle_bytes = 0
        self._awaits_head = True
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own
        """Begin, and expect a request soon."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most:
            self._refuse(len(self.connections) - self._most)
        self._expect_end()

    def _refuse(self, excess: int) -> None:
        self._on_excess()
        # In place of the application, and only when the request has come: an answer to nothing is rarely read.
        self.app = cast("ASGI3Application", too_many_connections)
        self._head_seconds = EXCESS_SECONDS
        if excess > EXCESS:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and the deadline with it."""
        self._forget_deadline()
        self._forget_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, and count it unless it is of use."""
        if self._awaits_head and self._deadline is None:
            self._expect_end()
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._is_answered():
                self.send_400_response(f"A head has at most {MAX_HEAD_BYTES} bytes")
            else:
                self.transport.close()

    def on_headers_complete(self) -> None:
        """Take a request whose head is complete."""
        self._idle_bytes = 0
        self._awaits_head = False
        self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request; what comes now is the next one's head."""
        self._idle_bytes = 0
        self._awaits_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let a client that still sends come to an end."""
        super().on_response_complete()
        if not self._awaits_head and self._is_answered():
            self._expect_end()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._forget_patience()
        self._patience = self.loop.call_later(SILENT_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._forget_patience()
        super().resume_writing()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_end(self) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(self._head_seconds, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_answered():
            self.transport.close()


async def too_many_connections(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a request on a connection that is one too many, and let the connection end."""
    await refuse(
        send, Busy("The server has as many connections as it may; try again in a moment"), close=True
    )
