"""A request under way: what it is for, and how long it only waited."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from projectw_server.api.admission import Admission, Urgency

VISIT = "projectw.visit"
"""Where in the ASGI scope the visit stands."""


class Visit:
    """One request that was let in, and counts as work except while it waits for news or for its client."""

    def __init__(self, admission: Admission, urgency: Urgency) -> None:
        self._admission = admission
        self._urgency = urgency
        self._holds = 0
        self.held_seconds = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do not count it, nor the time, until the end of the block."""
        self._holds += 1
        if self._holds > 1:
            # A part of it waits already: an answer that is being sent while a body still comes.
            try:
                yield
            finally:
                self._holds -= 1
            return
        began = time.monotonic()
        self._admission.leave(self._urgency)
        try:
            yield
        finally:
            self._holds -= 1
            self._admission.enter(self._urgency)
            self.held_seconds += time.monotonic() - began


def held(scope: MutableMapping[str, Any]) -> AbstractContextManager[None]:
    """Let the request of ``scope`` wait until the end of the block."""
    visit: Visit | None = scope.get(VISIT)
    return nullcontext() if visit is None else visit.held()
