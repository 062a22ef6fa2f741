"""A balancer that can fail on purpose: between clients and servers, it passes on bytes and sees requests in them.

Each connection goes to the next server in turn that accepts one. ``weather`` is trouble for everybody, a ``Trap``
catches one request at one moment: whatever its action does meanwhile, the request is held at that moment.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import httptools
import msgspec

from tests.chaos.exchange import AnswerReader, Exchange, RequestReader
from tests.chaos.history import History
from tests.chaos.weather import Trouble, Weather

CHUNK_BYTES = 65_536


class Moment(IntEnum):
    """How far a request and its answer have come."""

    BEGUN = 1
    """Its head is here, and nothing of it at the server."""
    HALF = 2
    """Half of its body is at the server."""
    ASKED = 3
    """The server has all of it."""
    PARTLY = 4
    """A piece of a long answer was passed on."""
    ANSWERED = 5
    """The answer is here, and nothing of it at the client; long answers: all but the last piece."""
    TOLD = 6
    """The client has the answer."""


@dataclass
class Trap:
    """Catches the first exchange that ``wants`` at ``moment``, and holds it while ``action`` runs."""

    moment: Moment
    wants: Callable[[Exchange], bool]
    action: Callable[["Line"], Coroutine[Any, Any, None]]
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    _acting: asyncio.Task[None] | None = None

    async def spring(self, line: "Line") -> None:
        """Run the action, to its end also when the connection breaks meanwhile, as by a server that is killed."""
        self._acting = asyncio.ensure_future(self.action(line))
        self.caught.set()
        await asyncio.shield(self._acting)

    async def over(self) -> None:
        """Return when the action has ended. Raises what it raised."""
        await self.caught.wait()
        assert self._acting is not None
        await self._acting


class FaultProxy:
    """Listens on loopback for the servers at ``ports`` there. ``names`` tells which runner a token belongs to."""

    def __init__(self, history: History, names: Mapping[str, str]) -> None:
        self.history = history
        self.names = names
        self.ports: list[int] = []
        self.weather = Weather()
        self.traps: list[Trap] = []
        self.url = ""
        self.embellish = False
        """Add fields to answers that no client knows, as a newer server would."""
        self._turn = 0
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on any free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Break every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._lines):
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def trap_for(self, exchange: Exchange, moment: Moment) -> Trap | None:
        """Return the trap that catches this, and take it away: each catches once."""
        for trap in self.traps:
            if trap.moment is moment and trap.wants(exchange):
                self.traps.remove(trap)
                return trap
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        # asyncio would report the cancelling of a connection as an error.
        with suppress(asyncio.CancelledError):
            try:
                await Line(self, reader, writer).run()
            finally:
                self._lines.discard(task)
                _abort(writer)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return a connection to the next server that takes one, None when none does."""
        for _ in self.ports:
            port = self.ports[self._turn % len(self.ports)]
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


class Line:
    """One client's connection and the server's end of it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = reader, writer
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._requests = RequestReader()
        self._answers = AnswerReader()
        self._is_cut = asyncio.Event()

    @property
    def exchange(self) -> Exchange:
        """The exchange under way."""
        assert self._requests.exchange is not None
        return self._requests.exchange

    def cut(self) -> None:
        """Break it in both directions; what was not passed on is lost."""
        self._is_cut.set()

    async def run(self) -> None:
        """Pass on until either side ends, the weather breaks it, or a trap cuts it."""
        if self._proxy.weather.trouble is Trouble.CUT:
            return
        self._server = await self._proxy.connect()
        if self._server is None:
            return
        ends = [
            asyncio.create_task(work)
            for work in (self._upward(), self._downward(), self._proxy.weather.cut(), self._is_cut.wait())
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            _abort(self._server[1])

    async def _upward(self) -> None:
        assert self._server is not None
        while (chunk := await _read(self._client[0])) and await self._proxy.weather.admits(len(chunk)):
            before = self._requests.exchange
            half_before = before is not None and _is_half(before)
            was_asked = before is not None and before.is_asked
            with suppress(httptools.HttpParserError):
                self._requests.feed_data(chunk)
            now = self._requests.exchange
            if now is None:
                await _write(self._server[1], chunk)
                continue
            is_new = now is not before
            if is_new:
                self._answers.exchange = now
                await self._reach(Moment.BEGUN)
            if now.call is None and (now.is_asked or now.is_upload):
                self._ask(now)
            if _is_half(now) and (is_new or not half_before):
                middle = len(chunk) // 2
                await _write(self._server[1], chunk[:middle])
                await self._reach(Moment.HALF)
                chunk = chunk[middle:]
            await _write(self._server[1], chunk)
            if now.is_asked and (is_new or not was_asked):
                await self._reach(Moment.ASKED)

    async def _downward(self) -> None:
        assert self._server is not None
        held = bytearray()
        while (chunk := await _read(self._server[0])) and await self._proxy.weather.admits(len(chunk)):
            with suppress(httptools.HttpParserError):
                self._answers.feed_data(chunk)
            exchange = self._answers.exchange
            held += chunk
            if exchange.status is None or (exchange.answers_json and not exchange.is_answered):
                continue
            if exchange.is_answered:
                self._answer(exchange)
                if self._proxy.embellish and exchange.answers_json:
                    held = bytearray(embellished(bytes(held)))
                await self._reach(Moment.ANSWERED)
            await _write(self._client[1], bytes(held))
            held.clear()
            if exchange.answered_bytes and not exchange.is_answered:
                await self._reach(Moment.PARTLY)
            if exchange.is_answered:
                await self._reach(Moment.TOLD)

    async def _reach(self, moment: Moment) -> None:
        exchange = self.exchange
        if trap := self._proxy.trap_for(exchange, moment):
            await trap.spring(self)
        if self._is_cut.is_set():
            # ``run`` is about to cancel this; nothing more may be passed on.
            await asyncio.Event().wait()

    def _ask(self, exchange: Exchange) -> None:
        who, key = exchange.who(self._proxy.names), exchange.headers.get("idempotency-key")
        exchange.call = self._proxy.history.ask(who, exchange.method, exchange.path, exchange.body, key)

    def _answer(self, exchange: Exchange) -> None:
        if exchange.call is not None and exchange.status is not None:
            self._proxy.history.answer(exchange.call, exchange.status, exchange.reply)


def embellished(answer: bytes) -> bytes:
    """Return a whole answer with fields added to each of its JSON objects."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not body:
        return answer
    more = msgspec.json.encode(_with_more(msgspec.json.decode(body)))
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, b"content-length: %d" % len(more), b"", more])


def _with_more(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_more(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_more(each) for name, each in value.items()} | {"added_later": {"and": ["more"]}}
    return value


def _is_half(exchange: Exchange) -> bool:
    return 0 < exchange.length <= 2 * exchange.asked_bytes


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(CHUNK_BYTES)
    except OSError:
        return b""


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.is_closing():
        return
    writer.write(data)
    with suppress(OSError):
        await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
