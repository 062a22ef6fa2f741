"""The gate: lets a request in, now or in its turn, or answers 503 before anything of it is looked up or stored."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from projectw_server.api.access import DOOR, REFUSED, Application, Message, Receive, Scope, Send
from projectw_server.api.admission import Admission, Pace, Urgency
from projectw_server.api.doors import Door
from projectw_server.api.line import FROM_FIRST, Line
from projectw_server.api.refusing import refuse
from projectw_server.api.visits import VISIT, Visit
from projectw_server.metrics.requests import RequestMetrics
from projectw_shared import routes
from projectw_shared.errors import Busy

LOOK_BYTES = 1024
"""An idle runner's heartbeat is much shorter."""

LOOK_SECONDS = 10.0
"""How long the body of a heartbeat may take while the server is so busy that it has to look."""

PATIENCE_SECONDS = 10.0
"""How long a request may wait for its turn. One that waits longer is refused, for its client has given up or will."""

REFUSALS_A_SECOND = 250.0
LONGEST_REFUSAL_SECONDS = 5.0

TOLD_EVERY_SECONDS = 10.0

BUSY = Busy("The server has more to do than it can; try again in a moment")

_log = structlog.get_logger(__name__)


class Gate:
    """Stands between the access log and the application.

    ``is_hashing_full`` says that a password could not be looked at: then the doors at which one is are shut, before a
    flood of sign-ins costs more than that.
    """

    def __init__(
        self,
        application: Application,
        admission: Admission,
        metrics: RequestMetrics,
        *,
        is_hashing_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_hashing_full = is_hashing_full
        self._application = application
        self._admission = admission
        self._metrics = metrics
        self._refused: Counter[Urgency] = Counter()
        self._told_at = float("-inf")
        self._line = Line(admission)
        self._pace = Pace(rate=REFUSALS_A_SECOND, longest=LONGEST_REFUSAL_SECONDS)
        for urgency in Urgency:
            metrics.in_flight.labels(urgency.value).set_function(partial(_of, admission.under_way, urgency))
        for urgency in FROM_FIRST:
            metrics.waiting.labels(urgency.value).set_function(partial(_of, admission.waiting, urgency))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        door: Door | None = scope.get(DOOR)
        urgency = Urgency.HEAVY if door is None else door.urgency
        is_busy = not self._admission.has_room(urgency) or self._admission.refuses(urgency)
        if is_busy and door is not None and door.path == routes.RUNNER_HEARTBEAT:
            receive, has_job = await _look(receive)
            urgency = Urgency.WORKING if has_job else urgency
        if door is not None and door.hashes and self._is_hashing_full():
            await self._refuse(scope, send, urgency)
            return
        if self._admission.refuses(urgency) or not await self._line.pass_through(urgency, PATIENCE_SECONDS):
            await self._refuse(scope, send, urgency)
            return
        visit = scope[VISIT] = Visit(self._admission, urgency)

        async def answer(message: Message) -> None:
            with visit.held():  # a client that is slow to take its answer costs nothing
                await send(message)

        try:
            await self._application(scope, receive, answer)
        finally:
            self._admission.leave(urgency)

    async def _refuse(self, scope: Scope, send: Send, urgency: Urgency) -> None:
        scope[REFUSED] = True
        self._metrics.note_refusal(urgency.value)
        self._refused[urgency] += 1
        now = time.monotonic()
        if now - self._told_at > TOLD_EVERY_SECONDS:
            _log.warning(
                "too busy: requests are refused",
                under_way=self._admission.total,
                waiting=self._admission.total_waiting,
                refused={urgency.value: count for urgency, count in self._refused.items()},
            )
            self._told_at = now
            self._refused.clear()
        if (delay := self._pace.delay(now)) > 0:
            await asyncio.sleep(delay)
        await refuse(send, BUSY)


def _of(counts: dict[Urgency, int], urgency: Urgency) -> float:
    return counts[urgency]


class _Look(msgspec.Struct):
    job: dict[str, Any] | None = None


async def _look(receive: Receive) -> tuple[Receive, bool]:
    """Read as much of a heartbeat as shows whether it names a job; return a way to read it all again, and that."""
    seen: list[Message] = []
    body = b""

    async def again() -> Message:
        return seen.pop(0) if seen else await receive()

    try:
        async with asyncio.timeout(LOOK_SECONDS):
            while len(body) <= LOOK_BYTES:
                seen.append(await receive())
                body += seen[-1].get("body", b"")
                if not seen[-1].get("more_body", False):
                    break
    except TimeoutError:
        return again, False
    return again, names_job(body)


def names_job(body: bytes) -> bool:
    """Tell whether the beginning of a heartbeat's body says that its runner holds a job."""
    if len(body) > LOOK_BYTES:
        return True
    try:
        return msgspec.json.decode(body, type=_Look).job is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
