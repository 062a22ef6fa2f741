"""News from the server as it happens, over a line that mends itself."""

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import msgspec

from projectw_shared.errors import (
    Forbidden,
    Internal,
    ProjectWError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from projectw_shared.events import EventName, ServerSentEvent, parse_events
from projectw_shared.messages import Hello, Job, JobDeleted, SegmentsAdded
from projectw_tui.client import Client

PASSING = (Unreachable, Unavailable, TooManyRequests, Internal)
"""Errors of a single request that a later one may not meet."""

LONGEST_PAUSE = 20.0
"""Seconds between two tries to connect, at most."""


@dataclass(frozen=True)
class Connected:
    """The line is open. ``resumed``: what changed meanwhile follows; else everything is to be read anew."""

    resumed: bool


@dataclass(frozen=True)
class Disconnected:
    """The line is down, and the next try comes after ``pause`` seconds."""

    reason: str
    pause: float


@dataclass(frozen=True)
class Reset:
    """What changed while the line was down is not known any more: everything is to be read anew."""


News = Connected | Disconnected | Reset | Job | SegmentsAdded | JobDeleted


class Feed:
    """The stream of one person's events; after a break it goes on where it stopped."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last_id: int | None = None
        self._hello: int | None = None

    async def news(self) -> AsyncGenerator[News, None]:
        """Yield what happens, for ever. Raises Unauthorized and Forbidden, which no patience mends."""
        failures = 0
        while True:
            try:
                async with self._client.events(self._last_id) as stream:
                    async for event in parse_events(stream.iter_any()):
                        failures = 0
                        for item in self._read(event):
                            yield item
                reason = "the server closed the line"
            except (Unauthorized, Forbidden):
                raise
            except ProjectWError as error:
                # Not only what passes by its nature: while a server is upgraded, a proxy answers in its place.
                reason = error.detail
            pause = backoff(failures)
            failures += 1
            yield Disconnected(reason, pause)
            await asyncio.sleep(pause)

    def _read(self, event: ServerSentEvent) -> list[News]:
        """Return what ``event`` says, and remember how far one has heard."""
        try:
            news = self._decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []  # a kind that a later server adds to
        if event.id is not None and event.name != EventName.HELLO:
            self._last_id = max(event.id, self._last_id or 0)
        return news

    def _decode(self, event: ServerSentEvent) -> list[News]:
        match event.name:
            case EventName.HELLO:
                self._hello = msgspec.json.decode(event.data, type=Hello).revision
                resumed = self._last_id is not None
                if not resumed:
                    # With a place to resume from, it stays: what changed since has yet to arrive.
                    self._last_id = self._hello
                return [Connected(resumed)]
            case EventName.RESET:
                self._last_id = self._hello
                return [Reset()]
            case EventName.JOB:
                return [msgspec.json.decode(event.data, type=Job)]
            case EventName.SEGMENTS:
                return [msgspec.json.decode(event.data, type=SegmentsAdded)]
            case EventName.DELETED:
                return [msgspec.json.decode(event.data, type=JobDeleted)]
        return []


def backoff(failures: int) -> float:
    """Return how long to wait after so many failures in a row, in seconds: longer each time, and jittered.

    A restarting server is so not met by all its clients at once.
    """
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0 ** min(failures, 10))  # noqa: S311
