"""How much a recording may ask of this machine."""

from dataclasses import dataclass
from typing import Final

SAMPLE_RATE: Final = 16_000
BYTES_PER_SAMPLE: Final = 2

MEBIBYTE: Final = 1024 * 1024

_MEMORY: Final = 512 * MEBIBYTE
"""Of address space, for a file of no size; ffmpeg with its libraries takes about half of it."""

_LOOK_SECONDS: Final = 2
_LOOKED_AT_A_SECOND: Final = 64 * MEBIBYTE
_MEASURE_SECONDS: Final = 1
_DECODE_SECONDS: Final = 2
_SLOWEST_DECODER: Final = 20.0
"""Seconds of audio in a second of processor time: a tenth of what a weak machine does with the dearest codec."""

_USUAL_BYTES_A_SECOND: Final = 4_000
"""32 kbit/s, at which a large recording that understates its length is taken to have been made."""


@dataclass(frozen=True)
class Bounds:
    """What one run of ffmpeg may take: bytes of address space, seconds of processor time."""

    memory_bytes: int
    cpu_seconds: int


@dataclass(frozen=True)
class MediaLimits:
    """Bounds on one recording and on the processes that read it.

    ``max_stall_seconds`` is how long ffmpeg may compute without a sample coming out. ``max_seconds_per_byte``
    stops files that unfold without bound: 0.05 is 160 bits for a second, below every codec for speech and below
    FLAC's silence at 8 kHz (192), but far above the 10 of a file made to unfold; ``free_seconds`` of any file are
    exempt. ``read_ahead_seconds`` of samples are held at most, decoded while an engine computes: 10 minutes are 19 MB.

    ``max_memory_bytes`` and ``max_cpu_seconds`` bound the largest recording; a smaller one gets less.
    """

    max_seconds: float = 24 * 3600.0
    max_cpu_seconds: int = 3600
    max_stall_seconds: float = 120.0
    max_memory_bytes: int = 1024 * MEBIBYTE
    min_sample_rate: int = 4_000
    max_sample_rate: int = 384_000
    max_channels: int = 32
    max_streams: int = 64
    max_seconds_per_byte: float = 0.05
    free_seconds: float = 600.0
    read_ahead_seconds: float = 600.0

    @property
    def read_ahead_bytes(self) -> int:
        """The samples that are held at most."""
        return int(self.read_ahead_seconds * SAMPLE_RATE) * BYTES_PER_SAMPLE

    @property
    def max_output_bytes(self) -> int:
        """The samples of the longest recording, and a second more, so that a longer one is noticed."""
        return int((self.max_seconds + 1) * SAMPLE_RATE) * BYTES_PER_SAMPLE

    def longest(self, file_bytes: int) -> float:
        """Return how many seconds a file of ``file_bytes`` can honestly hold."""
        return self.free_seconds + file_bytes * self.max_seconds_per_byte

    def may_unfold(self, file_bytes: int) -> bool:
        """Return whether a file is so small that it could say or unfold to more than it can honestly hold."""
        return self.longest(file_bytes) < self.max_seconds

    def for_looking(self, file_bytes: int) -> Bounds:
        """Return what reading the header may take; that of a long film is large."""
        return self._bounds(file_bytes, _LOOK_SECONDS + file_bytes // _LOOKED_AT_A_SECOND)

    def for_measuring(self, file_bytes: int) -> Bounds:
        """Return what going through the packets of a file that ``may_unfold`` may take."""
        return self._bounds(file_bytes, _MEASURE_SECONDS)

    def for_decoding(self, file_bytes: int, seconds: float | None) -> Bounds:
        """Return what decoding may take when the file says that it lasts ``seconds``, None when nothing says it.

        Together with the two before it 5 s of processor time for a small file that says little. What a small one
        says was measured; a large one may be joined of several, of which the first speaks for itself.
        """
        if self.may_unfold(file_bytes):
            likely = seconds or 0.0
        elif seconds is None:
            likely = self.max_seconds
        else:
            likely = min(max(seconds, file_bytes / _USUAL_BYTES_A_SECOND), self.max_seconds)
        return self._bounds(file_bytes, _DECODE_SECONDS + int(likely / _SLOWEST_DECODER))

    def _bounds(self, file_bytes: int, cpu_seconds: int) -> Bounds:
        # Tables of a container's packets grow with the file.
        memory = min(self.max_memory_bytes, _MEMORY + file_bytes)
        return Bounds(memory, min(self.max_cpu_seconds, cpu_seconds))
