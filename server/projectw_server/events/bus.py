"""The event bus of one server process."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from projectw_shared.events import ServerSentEvent

MAX_WAITING = 1_000
"""Events that wait for one slow client before its stream is ended; it comes back and asks for what it missed."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""The same in bytes: one event brings up to a heartbeat's 8 MiB of text."""


class Subscription:
    """One client's stream of events. ``key`` of ``offer`` names what a later event makes stale."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str | None, ServerSentEvent]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._closed = False

    def offer(self, event: ServerSentEvent, stale_key: str | None) -> None:
        """Add ``event``; one that still waits under the same ``stale_key`` is replaced."""
        if self._closed:
            return  # nothing may follow what was left out: the client goes on from the last number that it got
        if stale_key is not None:
            for index, (key, _) in enumerate(self._waiting):
                if key == stale_key:
                    self._waiting_bytes -= len(self._waiting[index][1].data)
                    del self._waiting[index]
                    break
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            self.close()
            return
        self._waiting.append((stale_key, event))
        self._waiting_bytes += len(event.data)
        self._arrived.set()

    def drop_momentary(self) -> None:
        """Forget what waits and has no number: it tells of a moment that is over."""
        self._waiting = deque(each for each in self._waiting if each[1].id is not None)
        self._waiting_bytes = sum(len(event.data) for _, event in self._waiting)

    def close(self) -> None:
        """End the stream after what waits."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        """Wait for the next event."""
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        _, event = self._waiting.popleft()
        self._waiting_bytes -= len(event.data)
        return event


class Bus:
    """Delivers events to the subscriptions of one user; nobody sees another's."""

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)

    def publish(self, user_id: str, event: ServerSentEvent, *, stale_key: str | None = None) -> None:
        """Hand ``event`` to every open stream of the user, without waiting for any of them."""
        for subscription in self._subscriptions.get(user_id, ()):
            subscription.offer(event, stale_key)

    def is_watched(self, user_id: str) -> bool:
        """Tell whether anyone would see an event, so that none is made in vain."""
        return user_id in self._subscriptions

    def watched(self) -> list[str]:
        """Return the users who have a stream open."""
        return list(self._subscriptions)

    @contextmanager
    def subscribe(self, user_id: str) -> Iterator[Subscription]:
        """Open a stream of the user's events from now on."""
        subscription = Subscription()
        self._subscriptions[user_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[user_id].discard(subscription)
            if not self._subscriptions[user_id]:
                del self._subscriptions[user_id]

    def close(self) -> None:
        """End every stream: the server stops."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.close()
