"""A recording in windows of 30 seconds or less that begin with speech and end in a pause.

Silero's detector of speech, which faster-whisper carries, is asked about the next 30 seconds only. So where the windows
lie from some place on is a matter of that place alone: an attempt that goes on there cuts as the first would have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.engines import SAMPLE_RATE, Samples

FRAME: Final = 160
"""Samples of one frame of the spectrogram, 10 ms."""

WINDOW: Final = 30 * SAMPLE_RATE

Span = tuple[int, int]
"""Where speech begins and ends, in samples."""

FindSpeech = Callable[[NDArray[np.float32]], Sequence[Span]]

_LEAST: Final = SAMPLE_RATE // 10
"""A rest of less than 0.1 s holds no word."""

_EARLIEST: Final = 15 * SAMPLE_RATE
"""A window costs the same however long it is: no cut before here, unless a pause is long."""

_MARGIN: Final = SAMPLE_RATE * 3 // 10
"""What is kept around speech: words begin more softly than they are detected."""

_LEAD: Final = SAMPLE_RATE
"""Silence before speech that is not worth another look at what follows it."""

_SHORTEST_PAUSE: Final = SAMPLE_RATE // 10

_ENOUGH_PAUSE: Final = SAMPLE_RATE
"""A pause that is longer than this is no better to cut in."""

_QUIET: Final = SAMPLE_RATE // 10
"""Where no pause is, the quietest stretch of this length is cut."""

_MOST_SILENCE: Final = 300 * SAMPLE_RATE
"""Silence that is passed over before the caller hears of it."""


@dataclass(frozen=True)
class Window:
    """Speech that begins at sample ``start`` of the recording; ``spans`` is where in ``samples`` somebody speaks."""

    start: int
    samples: NDArray[np.float32]
    spans: tuple[Span, ...] = ()

    @property
    def start_seconds(self) -> float:
        """Where it begins in the recording."""
        return self.start / SAMPLE_RATE

    @property
    def end_seconds(self) -> float:
        """Where it ends in the recording."""
        return (self.start + len(self.samples)) / SAMPLE_RATE

    def part(self, begin: float, end: float) -> "Window":
        """Return what lies between two places, in seconds of the recording, on whole frames."""
        first = max(round(begin * SAMPLE_RATE / FRAME) * FRAME - self.start, 0)
        last = round(end * SAMPLE_RATE) - self.start
        return Window(self.start + first, self.samples[first:last])

    def speech(self, begin: float, end: float) -> float:
        """Return for how many seconds somebody speaks between two places in the recording."""
        spans = ((self.start + one, self.start + two) for one, two in self.spans)
        return sum(
            max(min(two / SAMPLE_RATE, end) - max(one / SAMPLE_RATE, begin), 0.0) for one, two in spans
        )

    @property
    def frames(self) -> int:
        """How many frames of the spectrogram it has."""
        return len(self.samples) // FRAME


@dataclass
class Batch:
    """Windows to decode together, and from where in the recording, in seconds, the next ones come."""

    windows: list[Window] = field(default_factory=list)
    resume_at: float = 0.0


class Windows:
    """The windows from ``start_seconds`` on. Holds 30 seconds of the recording, however long that is.

    ``max_pause``: seconds of silence over which no window reaches.
    """

    def __init__(
        self, samples: Samples, find_speech: FindSpeech, *, max_pause: float, start_seconds: float = 0.0
    ) -> None:
        self._samples = samples
        self._find_speech = find_speech
        self._max_pause = round(max_pause * SAMPLE_RATE)
        self._held = np.zeros(0, np.float32)
        self._is_at_end = False
        self._position = 0
        self._advance(round(start_seconds * SAMPLE_RATE / FRAME) * FRAME)

    def next(self, count: int) -> Batch | None:
        """Return at most ``count`` windows, none when there was only silence for some minutes; None at the end."""
        begin = self._position
        batch = Batch()
        silence = 0
        while len(batch.windows) < count and silence < _MOST_SILENCE and self._fill():
            before = self._position
            window = self._window()
            if window is not None:
                batch.windows.append(window)
            else:
                silence += self._position - before
        batch.resume_at = self._position / SAMPLE_RATE
        return batch if self._position > begin else None

    def _window(self) -> Window | None:
        """Return the next window, or None after going over silence."""
        spans = self._find_speech(self._held) if len(self._held) >= _LEAST else []
        if not spans:
            # Speech that has just begun is only known by what follows.
            self._advance(len(self._held) if self._is_at_end else len(self._held) - _LEAD)
            return None
        lead = max(spans[0][0] - _MARGIN, 0)
        if lead > _LEAD:
            self._advance(lead)
            return None
        end, advance = self._cut(spans)
        window = Window(self._position, self._held[:end].copy(), tuple(spans))
        self._advance(advance)
        return window

    def _cut(self, spans: Sequence[Span]) -> tuple[int, int]:
        """Return where the window ends, and where the next one may begin."""
        length = len(self._held)
        pauses = [(one[1], two[0]) for one, two in pairwise([*spans, (length, length)])]
        for begin, end in pauses:
            if end - begin > self._max_pause:
                return min(begin + _MARGIN, length), max(end - _MARGIN, begin)
        if self._is_at_end:
            return min(spans[-1][1] + _MARGIN, length), length
        late = [pause for pause in pauses if pause[1] - pause[0] >= _SHORTEST_PAUSE and pause[0] > _EARLIEST]
        if late:
            begin, end = max(late, key=_worth)
            cut = min((begin + end) // 2, begin + _MARGIN)
        else:
            cut = _quietest(self._held[_EARLIEST:]) + _EARLIEST
        return cut, cut

    def _fill(self) -> bool:
        """Read on until 30 seconds are held, or all there is; tell whether anything is."""
        missing = WINDOW - len(self._held)
        if missing > 0 and not self._is_at_end:
            pieces = [self._held]
            while missing > 0 and len(piece := self._samples.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
            self._is_at_end = missing > 0
            self._held = np.concatenate(pieces)
        return len(self._held) > 0

    def _advance(self, count: int) -> None:
        """Drop ``count`` samples, on whole frames unless the recording ends."""
        if count < len(self._held):
            count -= count % FRAME
        # A copy: a view would keep the old samples alive.
        dropped = min(count, len(self._held))
        self._held = self._held[dropped:].copy()
        while dropped < count and (read := len(self._samples.read(min(count - dropped, WINDOW)))):
            dropped += read
        self._position += dropped


def _worth(pause: Span) -> float:
    """Weigh a pause: long ones are surer, late ones waste less; 1 s of place is worth 33 ms of pause."""
    begin, end = pause
    return min(end - begin, _ENOUGH_PAUSE) + begin / 30


def _quietest(samples: NDArray[np.float32]) -> int:
    """Return the middle of the stretch with the least power."""
    whole = samples[: len(samples) // _QUIET * _QUIET].reshape(-1, _QUIET)
    return int((whole**2).mean(axis=1).argmin()) * _QUIET + _QUIET // 2
