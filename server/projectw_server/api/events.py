"""GET /api/events: live events of the user's own jobs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from functools import partial

import msgspec
from prometheus_client import Gauge
from quart import Response, request

from projectw_server.accounts.audit import Action, Reading
from projectw_server.accounts.principals import Person
from projectw_server.api.context import services
from projectw_server.api.doors import Doors, holder
from projectw_server.api.identity import Who
from projectw_shared import routes
from projectw_shared.events import KEEP_ALIVE, EventName, ServerSentEvent

doors = Doors("events")

KEEP_ALIVE_SECONDS = 15.0

GOOD_FOR_SECONDS = 1.0
"""How long nothing is sent without a look whether the sign-in still stands."""

HEADERS = {
    "Cache-Control": "no-store",
    # nginx would otherwise gather events until its buffer is full.
    "X-Accel-Buffering": "no",
}


@doors.door("GET", routes.EVENTS, Who.USER, produces=("text/event-stream",), headers=("Last-Event-ID",))
async def stream_events(person: Person) -> Response:
    """Stream the changes of the user's jobs as server-sent events, from ``Last-Event-ID`` on if it is given.

    Events are ``hello``, ``job``, ``segments``, ``deleted`` and ``reset``. The stream ends with the sign-in.
    """
    if request.method == "HEAD":
        # The body would be left out, but only when it ends.
        return Response(b"", headers=HEADERS, content_type="text/event-stream")
    last_seen = request.headers.get("Last-Event-ID")
    source = services().feed.stream(person.id, last_seen)
    lines = _lines(_noted(source, services().reading), partial(services().is_good, person), holder())
    response = Response(
        _counted(lines, services().metrics.streams), headers=HEADERS, content_type="text/event-stream"
    )
    response.timeout = None
    return response


async def _noted(
    events: AsyncGenerator[ServerSentEvent, None], reading: Reading
) -> AsyncGenerator[ServerSentEvent, None]:
    """Pass ``events`` on, and note whose text is read by them."""
    async with aclosing(events):
        async for event in events:
            if event.name == EventName.SEGMENTS:
                job_id = msgspec.json.decode(event.data, type=_OfJob).job_id
                await reading.note(Action.TRANSCRIPT_READ, job_id)
            yield event


class _OfJob(msgspec.Struct):
    job_id: str


async def _counted(lines: AsyncGenerator[bytes, None], streams: Gauge) -> AsyncIterator[bytes]:
    """Pass ``lines`` on; the stream counts as open meanwhile."""
    with streams.track_inprogress():
        async with aclosing(lines):
            async for line in lines:
                yield line


async def _lines(
    events: AsyncGenerator[ServerSentEvent, None],
    is_good: Callable[[], Awaitable[bool]],
    while_held: Callable[[], AbstractContextManager[None]],
) -> AsyncGenerator[bytes, None]:
    """Encode ``events``, with a comment from time to time, for as long as ``is_good`` says so."""
    clock = asyncio.get_running_loop().time
    seen_good, look_at = clock(), clock() + KEEP_ALIVE_SECONDS
    waiting: asyncio.Future[ServerSentEvent] | None = None
    try:
        while True:
            # A task of its own, for a timeout must not cancel the generator in mid-step.
            waiting = waiting or asyncio.ensure_future(anext(events))
            with while_held():
                done, _ = await asyncio.wait([waiting], timeout=max(0.0, look_at - clock()))
            if clock() >= look_at:
                if not await is_good():
                    return
                seen_good, look_at = clock(), clock() + KEEP_ALIVE_SECONDS
                yield KEEP_ALIVE
            if not done:
                continue
            try:
                event = waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
            if clock() - seen_good > GOOD_FOR_SECONDS:
                if not await is_good():
                    return
                seen_good = clock()
            yield event.encode()
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
        await events.aclose()
