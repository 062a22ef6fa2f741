"""A recording in windows that begin with speech and end in a pause; silence is passed over.

Where the windows lie from some place on follows from that place and the recording alone, so an attempt that goes
on there cuts as the first would have. However long the recording, about a minute of it is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from projectw_runner.engines import SAMPLE_RATE, Samples
from projectw_runner.engines.whisper.speech import BLOCK, CHUNK, WARM_UP

FRAME: Final = 160
"""Samples of one frame of the spectrogram, 10 ms."""

LONGEST: Final = 20 * SAMPLE_RATE
"""Samples of the longest window, unless another length is asked for; of 12 to 28 s this gave the fewest errors."""

_PAD: Final = 3 * SAMPLE_RATE // 10
"""What is kept around speech: words begin more softly than they are detected."""

_SHORTEST_PAUSE: Final = 3 * SAMPLE_RATE // 10 // CHUNK
"""Chunks of a pause in which a window may end."""

_SMOOTHED: Final = 5
"""Chunks over which a place to cut is sought where there is no pause."""

_MOST_SILENCE: Final = 600 * SAMPLE_RATE
"""Silence that is passed over before the caller hears of it."""

_SILENT: Final = 1e-4
"""-80 dB of full scale: less than the noise of any microphone. No one need listen for speech in it."""


@dataclass(frozen=True)
class Hearing:
    """How sure the detector has to be: ``begins`` of a first word, ``lasts`` of the next. ``max_pause``: seconds."""

    begins: float
    lasts: float
    max_pause: float


CAREFUL: Final = Hearing(begins=0.5, lasts=0.35, max_pause=3.0)
"""Rather a window too many than a word too few."""

STRICT: Final = Hearing(begins=0.7, lasts=0.5, max_pause=1.5)
"""For a job that asks for it: only what is surely speech."""


class Detector(Protocol):
    """Tells how likely it is that someone speaks, as ``speech.SpeechDetector`` does."""

    def listen(self, samples: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a probability for each chunk of a block; see there."""


@dataclass(frozen=True)
class Window:
    """Samples of the recording from sample ``start`` on, and where in the recording, in seconds, someone speaks."""

    start: int
    samples: NDArray[np.float32]
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def start_seconds(self) -> float:
        """Where the window begins."""
        return self.start / SAMPLE_RATE

    @property
    def end_seconds(self) -> float:
        """Where the window ends."""
        return (self.start + len(self.samples)) / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def frames(self) -> int:
        """How many whole frames of the spectrogram it has."""
        return len(self.samples) // FRAME

    def rest(self, seconds: float) -> "Window":
        """Return what lies behind a place, in seconds from the window's start."""
        begin = min(round(seconds * SAMPLE_RATE), len(self.samples))
        return Window(self.start + begin, self.samples[begin:], self.spans)

    def speech(self, begin: float, end: float) -> float:
        """Return for how many seconds someone speaks between two places in the recording."""
        return sum(max(min(two, end) - max(one, begin), 0.0) for one, two in self.spans)


@dataclass
class Portion:
    """Windows to decode together, and from where in the recording, in seconds, the next ones come."""

    windows: list[Window] = field(default_factory=list)
    resume_at: float = 0.0


class Windows:
    """The windows from ``start_seconds`` on."""

    def __init__(
        self,
        samples: Samples,
        detector: Detector,
        hearing: Hearing = CAREFUL,
        *,
        start_seconds: float = 0.0,
        longest: int = LONGEST,
    ) -> None:
        self._samples = samples
        self._detector = detector
        self._hearing = hearing
        self._longest = longest
        self._position = round(start_seconds * SAMPLE_RATE)
        self._max_pause = hearing.max_pause * SAMPLE_RATE / CHUNK
        # The first sample that is held, and the probabilities of the chunks from there on.
        self._origin = 0
        self._held = np.zeros(0, np.float32)
        self._chances = np.zeros(0, np.float32)
        self._ended = False
        self._skip()

    def next(self, count: int) -> Portion | None:
        """Return at most ``count`` windows, none when there was only silence for minutes; None at the end."""
        begin = self._position
        portion = Portion()
        silence = 0
        while len(portion.windows) < count and silence < _MOST_SILENCE and self._look_ahead():
            before = self._position
            window = self._window()
            if window is not None:
                portion.windows.append(window)
            else:
                silence += self._position - before
        portion.resume_at = self._position / SAMPLE_RATE
        return portion if self._position > begin else None

    def _window(self) -> Window | None:
        """Return the next window, or None after going over silence, to its end or to where speech begins."""
        spans = list(self._spans())
        if not spans:
            # A word that has just begun is known by what follows.
            self._position = self._end if self._ended else max(self._end - _PAD, self._position)
            return None
        start = max(self._sample(spans[0][0]) - _PAD, self._position)
        if not self._holds(start):
            # Without what follows, a window after silence would end where the block does, in the middle of a word.
            self._position = start
            return None
        end, after = self._cut(spans, start)
        if self._ended and after >= self._end - _PAD and not self._spoken_after(after):
            after = self._end
        inside = [(self._sample(one), self._sample(two)) for one, two in spans]
        window = Window(
            start,
            self._held[start - self._origin : end - self._origin].copy(),
            tuple((one / SAMPLE_RATE, min(two, end) / SAMPLE_RATE) for one, two in inside if one < end),
        )
        self._position = after
        return window

    def _cut(self, spans: list[tuple[int, int]], start: int) -> tuple[int, int]:
        """Return where the window that begins at ``start`` ends, and where the next one may begin."""
        latest = start + self._longest
        end = None
        for number, (_, last) in enumerate(spans):
            following = spans[number + 1][0] if number + 1 < len(spans) else None
            pause = (self._end if following is None else self._sample(following)) - self._sample(last)
            place = min(
                self._sample(last) + min(_PAD, max(pause // 2, 0))
                if following
                else self._sample(last) + _PAD,
                self._end,
            )
            if place > latest:
                break
            end = place
            if following is None or pause / CHUNK > self._max_pause:
                break
        if end is not None:
            return end, end
        first, last = (self._chunk(place) for place in (start + self._longest // 2, latest))
        smooth = np.convolve(self._chances, np.ones(_SMOOTHED) / _SMOOTHED, "same")[first:last]
        place = self._sample(first + int(smooth.argmin())) + CHUNK // 2
        return place, place

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield where someone speaks from the position on: the first chunk that is held, and one past the last."""
        first = self._chunk(self._position)
        begun, last = -1, first
        for place, chance in enumerate(self._chances[first:].tolist(), first):
            if begun < 0:
                if chance >= self._hearing.begins:
                    begun, last = place, place + 1
            elif chance >= self._hearing.lasts:
                last = place + 1
            elif place + 1 - last >= _SHORTEST_PAUSE:
                yield begun, last
                begun = -1
        if begun >= 0:
            yield begun, last

    def _spoken_after(self, place: int) -> bool:
        return bool((self._chances[self._chunk(place) :] >= self._hearing.begins).any())

    def _look_ahead(self) -> bool:
        """Read on until a window and the pause behind it are held, or all there is; tell whether anything is left."""
        self._forget()
        while not self._holds(self._position):
            self._read_block()
        return self._position < self._end

    def _holds(self, start: int) -> bool:
        """Tell whether all is held that says where a window from ``start`` on ends."""
        return self._ended or (
            self._end >= start + self._longest + SAMPLE_RATE + int(self._max_pause) * CHUNK
        )

    def _read_block(self) -> None:
        # What is no number would make numbers of nothing that follows it.
        block = np.nan_to_num(self._read(BLOCK), nan=0.0, posinf=1.0, neginf=-1.0)
        self._ended = len(block) < BLOCK
        if not len(block):
            return
        if float(np.abs(block).max()) < _SILENT:
            chances = np.zeros(-(-len(block) // CHUNK), np.float32)
        else:
            chances = self._detector.listen(
                block, self._held[-WARM_UP:] if len(self._held) >= WARM_UP else self._held[:0]
            )
        self._held = np.concatenate([self._held, block])
        self._chances = np.concatenate([self._chances, chances])

    def _read(self, count: int) -> NDArray[np.float32]:
        pieces: list[NDArray[np.float32]] = []
        while count > 0 and len(piece := self._samples.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _skip(self) -> None:
        """Go over what is done, up to the block in which the work goes on, and the second before it."""
        beyond = self._position // BLOCK * BLOCK - WARM_UP
        while self._origin < beyond and len(piece := self._samples.read(min(beyond - self._origin, BLOCK))):
            self._origin += len(piece)
        if beyond > 0:
            self._held = self._read(WARM_UP)
            self._chances = np.zeros(len(self._held) // CHUNK, np.float32)

    def _forget(self) -> None:
        """Drop what lies before the position, but not the second that the detector is to hear again."""
        surplus = (min(self._position, self._end - WARM_UP) - self._origin) // CHUNK
        if surplus > 0:
            # Copies: views would keep the old arrays alive.
            self._held = self._held[surplus * CHUNK :].copy()
            self._chances = self._chances[surplus:].copy()
            self._origin += surplus * CHUNK

    @property
    def _end(self) -> int:
        return self._origin + len(self._held)

    def _chunk(self, sample: int) -> int:
        return max((sample - self._origin) // CHUNK, 0)

    def _sample(self, chunk: int) -> int:
        return min(self._origin + chunk * CHUNK, self._end)
