"""HTTP connections with an end: Uvicorn's parser takes a head of any length, for as long as a client likes.

Seen without this: one header of 300 MB, from anybody, took 500 MB and held up every other request for minutes,
because the parser joins what has come of a header anew with each piece.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projectw_server.api import heads
from projectw_server.api.access import Receive, Scope, Send
from projectw_server.api.occupancy import Occupancy
from projectw_server.api.outflow import Outflow
from projectw_server.api.patience import Patience
from projectw_server.api.peers import PEER
from projectw_server.api.recall import DROP
from projectw_server.api.refusing import refusal, refuse
from projectw_server.sources import source_of
from projectw_shared.errors import BadRequest, Busy, HeadersTooLarge, ProjectWError, TooManyConnections

MAX_HEAD_BYTES = 64 * 1024
"""What may arrive without ending a head or bringing a byte of body; one read of the socket may come on top."""

HEAD_SECONDS = 30.0
"""How long a client may take for the head of a request, and to go on sending a body that was answered already."""

SILENT_SECONDS = 30.0
"""How long a client may take nothing, or too little, of an answer: a live stream has no other end."""

SLOWEST_BYTES = 1000.0
"""Bytes a second that a client has to take of an answer, unless it is set otherwise."""

LOOK_SECONDS = 2.5
"""How often it is looked how much a client has taken of an answer that waits for it."""

LEAVING_SECONDS = 5.0
"""How long a connection that is closed may go on until its last bytes are taken."""

KEEP_ALIVE_SECONDS = 35
"""How long a connection may rest between two requests. Longer than clients keep theirs (aiohttp: 15 s), or a request
would now and then meet a connection that is just being closed."""

PROXY_KEEP_ALIVE_SECONDS = 75
"""The same for a proxy, which keeps its connections longer (nginx: 60 s)."""

EXCESS = 256
"""Connections beyond the most that are still answered, with 503; further ones are closed at once."""

EXCESS_SECONDS = 2.0
"""How long one of those may take for its request."""

_log = structlog.get_logger(__name__)


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client that sends endless heads, or none, or that reads no answer.

    Beyond what ``occupancy`` allows each further connection gets a 503 (429 where it is the address that has too many),
    without its request coming any further; ``on_excess`` is called for each. ``rate`` is how fast an answer has to be
    taken, in bytes a second. ``on_made`` is called when the connection is there, before it is counted.
    """

    def __init__(
        self,
        *arguments: Any,
        occupancy: Occupancy | None = None,
        on_excess: Callable[[], object] = lambda: None,
        rate: float = SLOWEST_BYTES,
        on_made: Callable[[], object] = lambda: None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._occupancy = occupancy or Occupancy()
        self._source = ""
        self._on_excess = on_excess
        self._rate = rate
        self._on_made = on_made
        self._head_seconds = HEAD_SECONDS
        self._idle_bytes = 0
        self._awaits_head = True
        self._is_last = False
        self._mistake: ProjectWError | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own
        """Begin, and expect a request soon."""
        super().connection_made(transport)
        self._outflow = Outflow(transport)
        self._source = source_of(self.client[0] if self.client else None)
        self._on_made()
        self._occupancy.enter(self._source)
        is_proxy = self._occupancy.is_proxy(self._source)
        self.timeout_keep_alive = PROXY_KEEP_ALIVE_SECONDS if is_proxy else KEEP_ALIVE_SECONDS
        if (excess := self._occupancy.excess()) > 0:
            self._refuse(excess, too_many_connections)
        elif (excess := self._occupancy.excess_of(self._source)) > 0:
            self._refuse(excess, too_many_from_there)
        self._expect_end()

    def _refuse(self, excess: int, answer: Any) -> None:
        self._on_excess()
        # In place of the application, and only when the request has come: an answer to nothing is rarely read.
        self.app = cast("ASGI3Application", answer)
        self._head_seconds = EXCESS_SECONDS
        if excess > EXCESS:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and all that waits for it."""
        self._occupancy.leave(self._source)
        self._forget_deadline()
        for timer in (self._looking, self._leaving):
            if timer is not None:
                timer.cancel()
        self._looking = self._leaving = None
        super().connection_lost(exc)
        # Uvicorn leaves it be when the client has broken the connection off; there is nothing to close any more.
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, and count it unless it is of use."""
        if self.transport.is_closing() or self._is_last:
            return
        if self._awaits_head and self._deadline is None:
            self._expect_end()
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._reject(HeadersTooLarge(f"A head has at most {MAX_HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        """Begin a request, whose head may begin in the same piece in which another request has ended."""
        self._mistake = None
        if self._deadline is None and not self.transport.is_closing():
            self._expect_end()
        super().on_message_begin()
        cast("dict[str, Any]", self.scope).update({DROP: self._outflow.drop, PEER: self.client})

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        super().on_url(url)
        self._mistake = self._mistake or heads.target_too_long(self.url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._mistake = self._mistake or heads.too_many(self.headers)

    def on_headers_complete(self) -> None:
        """Take a request whose head is complete."""
        if self.transport.is_closing():
            return
        self._idle_bytes = 0
        self._awaits_head = False
        self._forget_deadline()
        method, version = self.parser.get_method(), self.parser.get_http_version()
        mistake = self._mistake or heads.mistake(method, self.url, version, self.headers)
        # The parser leaves off there, and skips what has come with it: nobody knows where another request would begin.
        self._is_last = bool(self.parser.should_upgrade())
        if mistake is None and self._is_last:
            mistake = heads.switches_with_a_body(method, self.headers)
        if mistake is None:
            self.url, self.headers[:] = heads.in_origin_form(self.url, self.headers)
            super().on_headers_complete()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._is_last
        else:
            self._reject(mistake)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self.transport.is_closing():
            return
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request; what comes now is the next one's head."""
        if self.transport.is_closing():
            return
        self._idle_bytes = 0
        self._awaits_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let a client that still sends, or still has to take its answer, come to an end."""
        super().on_response_complete()
        if not self._awaits_head and self._is_answered():
            self._expect_end()
        self._look_after_answer()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; Uvicorn's own answer lacks what every other one carries."""
        self._reject(BadRequest(msg))

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._look_after_answer()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has rested too long."""
        self._end()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _reject(self, error: ProjectWError) -> None:
        """Answer with ``error`` if that is possible, and end the connection."""
        if self.transport.is_closing():
            return
        if self._is_answered():
            _log.info("request refused unread", client=self._source, code=error.code)
            self.transport.write(refusal(error, self.scheme or "http"))
        self._end()

    def _expect_end(self) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(self._head_seconds, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_answered():
            self._end()

    def _end(self) -> None:
        """Close, and do not wait long for what the client has not taken yet."""
        if not self.transport.is_closing():
            self.transport.close()
        if self._leaving is None:
            self._leaving = self.loop.call_later(LEAVING_SECONDS, self._outflow.drop)

    def _look_after_answer(self) -> None:
        if self._looking is None:
            patience = Patience(SILENT_SECONDS, self._rate)
            self._look_later(patience, self._outflow.taken())

    def _look_later(self, patience: Patience, taken: int) -> None:
        after = min(LOOK_SECONDS, SILENT_SECONDS)
        self._looking = self.loop.call_later(after, self._look, patience, taken, after)

    def _look(self, patience: Patience, taken: int, waited: float) -> None:
        """See how the client comes on with what was written, until it has taken all of it."""
        self._looking = None
        if self._outflow.waiting() == 0:
            return
        now = self._outflow.taken()
        patience.note(waited, now - taken)
        if patience.is_over:
            self._outflow.drop()
        else:
            self._look_later(patience, now)


async def too_many_connections(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a request on a connection that is one too many, and let the connection end."""
    busy = Busy("The server has as many connections as it may; try again in a moment")
    await refuse(send, busy, close=True, scheme=scope["scheme"])


async def too_many_from_there(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a request on a connection that is one too many of its address."""
    error = TooManyConnections("Your address has as many connections here as it may; try again in a moment")
    await refuse(send, error, close=True, scheme=scope["scheme"])
