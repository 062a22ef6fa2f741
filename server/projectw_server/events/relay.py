"""The relay over PostgreSQL: signals as notifications, gathered while the last ones are on their way.

Sent after the commit and never within the transaction: PostgreSQL lets only one transaction at a time commit with a
notification, and all jobs would wait in that line.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from projectw_server.events.signals import Changed, Missed, Progressed, Signal
from projectw_shared.ids import new_id

CHANNEL = "projectw"
MAX_PAYLOAD_BYTES = 7_900
"""PostgreSQL takes less than 8,000."""

GATHERED_SECONDS = 0.05
"""Changes and progress are gathered for so long: of each user and of each job only the last word counts."""

MOST_WAITING = 10_000
"""Signals kept while the database does not answer; what comes then is dropped, and the others told to look around."""

RETRY_SECONDS = 1.0
CHECK_SECONDS = 10.0
"""A connection that says nothing is asked for a sign of life this often."""

Connect = Callable[[], Any]

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """Signals of one server."""

    sender: str
    signals: list[Signal]


class PostgresRelay:
    """One connection that listens and notifies; ``receive`` gets what other servers sent.

    ``connect`` opens an asyncpg connection, which is this relay's alone.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._id = new_id()
        self._waiting: list[Signal] = []
        self._gathered: dict[str, Changed | Progressed] = {}
        self._wake = asyncio.Event()
        self._receive: Callable[[Signal], object] = lambda _: None
        self.is_connected = False

    def on_signal(self, receive: Callable[[Signal], object]) -> None:
        """Hand every signal of another server to ``receive``."""
        self._receive = receive

    def post(self, signal: Signal) -> None:
        """Send ``signal`` with the next notification."""
        if isinstance(signal, Progressed):
            self._gathered[signal.job_id] = signal
        elif isinstance(signal, Changed):
            known = self._gathered.get(signal.owner_id)
            if not (isinstance(known, Changed) and known.number > signal.number):
                self._gathered[signal.owner_id] = signal
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(signal)
        else:
            self._waiting[-1] = Missed()
        self._wake.set()

    async def run(self) -> None:
        """Listen and send for as long as the server lives, whatever becomes of the connection."""
        while True:
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001  nobody waits for this task; it connects again
                _log.warning("the other servers cannot be reached", reason=str(error) or type(error).__name__)
            self.is_connected = False
            await asyncio.sleep(RETRY_SECONDS)

    async def send(self) -> None:
        """Send what waits, once, for a program that does not stay."""
        connection = await self._connect()
        try:
            self._waiting += self._gathered.values()
            await self._flush(connection)
        finally:
            await connection.close()

    async def _session(self) -> None:
        connection = await self._connect()
        try:
            await connection.add_listener(CHANNEL, self._heard)
            self.is_connected = True
            # What was said while nobody listened is lost, in both directions.
            self._receive(Missed())
            self._waiting.insert(0, Missed())
            while not connection.is_closed():
                await self._flush(connection)
                self._wake.clear()
                if self._waiting:
                    continue
                if self._gathered:
                    await self._pause(GATHERED_SECONDS)
                    self._waiting += self._gathered.values()
                    self._gathered.clear()
                elif not await self._woken(CHECK_SECONDS):
                    await connection.execute("SELECT 1", timeout=CHECK_SECONDS)
        finally:
            with suppress(Exception):  # it is gone already, and why has been said
                await connection.close(timeout=1)

    async def _pause(self, seconds: float) -> None:
        """Gather for ``seconds``, or until there is something that does not wait."""
        end = asyncio.get_running_loop().time() + seconds
        while not self._waiting and (left := end - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            await self._woken(left)

    async def _woken(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
            return True
        return False

    async def _flush(self, connection: Any) -> None:
        signals, self._waiting = list(dict.fromkeys(self._waiting)), []
        for payload in payloads(self._id, signals):
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload, timeout=CHECK_SECONDS)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            envelope = msgspec.json.decode(payload, type=Envelope)
        except msgspec.MsgspecError:
            # Of a newer server: what it says cannot be read, but there is something to see.
            self._receive(Missed())
            return
        if envelope.sender == self._id:
            return
        for signal in envelope.signals:
            self._receive(signal)


def payloads(sender: str, signals: list[Signal]) -> list[str]:
    """Return ``signals`` as texts that each fit into one notification."""
    texts: list[str] = []
    batch: list[bytes] = []
    head = len(_encoder.encode(Envelope(sender, [])))
    size = head
    for encoded in map(_encoder.encode, signals):
        if batch and size + len(encoded) + 1 > MAX_PAYLOAD_BYTES:
            texts.append(_text(sender, batch))
            batch, size = [], head
        batch.append(encoded)
        size += len(encoded) + 1
    return [*texts, _text(sender, batch)] if batch else texts


def _text(sender: str, signals: list[bytes]) -> str:
    return f"[{msgspec.json.encode(sender).decode()},[{b','.join(signals).decode()}]]"
