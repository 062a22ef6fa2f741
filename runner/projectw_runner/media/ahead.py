"""Reading ahead: a recording is decoded while an engine computes on what came before."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from projectw_runner.failures import JobFailure

_PIECE: Final = 1 << 16
"""Bytes that are asked for at a time, 2 s of samples."""


class RecordingClosed(JobFailure):
    """The recording was closed while an engine read from it: the job was stopped from outside."""

    def __init__(self) -> None:
        super().__init__("cancelled", "The work on this recording was stopped.")


class ReadAhead:
    """The bytes of a source that blocks, fetched by a thread of its own, at most ``capacity`` ahead of the reader.

    ``source`` returns up to so many bytes as it is asked for, none at its end; whatever it raises is raised to the
    reader, in the place of the bytes that are missing. While the buffer is full the source is not asked.
    ``interrupt``, called from any thread, makes a source that blocks return or raise.
    """

    def __init__(
        self, source: Callable[[int], bytes], interrupt: Callable[[], None], *, capacity: int
    ) -> None:
        self._source = source
        self._interrupt = interrupt
        self._piece = min(_PIECE, capacity)
        self._capacity = capacity
        self._changed = threading.Condition()
        self._pieces: deque[memoryview] = deque()
        self._held = 0
        self._ended = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._filling = self._thread.submit(self._fill)

    def read(self, count: int) -> bytearray:
        """Return the next ``count`` bytes, fewer at the end, none after it. Raises ``RecordingClosed``.

        Blocks. ``count`` may be more than is ever held. Belongs to one thread.
        """
        taken = bytearray()
        with self._changed:
            while len(taken) < count:
                self._changed.wait_for(lambda: self._held or self._ended or self._closed)
                if self._closed:
                    raise RecordingClosed
                if not self._held:
                    break
                taken += self._take(count - len(taken))
                self._changed.notify_all()
        if len(taken) < count:
            self._filling.result()
        return taken

    def close(self) -> None:
        """End a blocked ``read``, interrupt the source, and return when its thread has ended. From any thread."""
        with self._changed:
            self._closed = True
            self._pieces.clear()
            self._changed.notify_all()
        self._interrupt()
        self._thread.shutdown()

    def _fill(self) -> None:
        try:
            while self._wait_for_room() and (piece := self._source(self._piece)):
                with self._changed:
                    self._pieces.append(memoryview(piece))
                    self._held += len(piece)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        """Return when a whole piece fits, so that pieces stay few; False when nothing is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._held + self._piece <= self._capacity or self._closed)
            return not self._closed

    def _take(self, most: int) -> memoryview:
        piece = self._pieces.popleft()
        if len(piece) > most:
            self._pieces.appendleft(piece[most:])
            piece = piece[:most]
        self._held -= len(piece)
        return piece
