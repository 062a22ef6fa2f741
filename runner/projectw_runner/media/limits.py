"""How much a recording may ask of this machine."""

import resource
from dataclasses import dataclass
from typing import Final

SAMPLE_RATE: Final = 16_000
BYTES_PER_SAMPLE: Final = 2

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True)
class MediaLimits:
    """Bounds on one recording and on the process that decodes it.

    ``max_stall_seconds`` is how long ffmpeg may compute without a sample coming out. ``max_seconds_per_byte``
    stops files that unfold without bound: 0.125 is 64 bits for a second, below every codec for speech and below
    FLAC's silence, but far above the 15 of a file made to unfold; ``free_seconds`` of any file are exempt.
    ``read_ahead_seconds`` of samples are held at most, decoded while an engine computes: 10 minutes are 19 MB.
    """

    max_seconds: float = 24 * 3600.0
    max_cpu_seconds: int = 3600
    max_stall_seconds: float = 120.0
    max_memory_bytes: int = 1024 * MEBIBYTE
    min_sample_rate: int = 4_000
    max_sample_rate: int = 384_000
    max_channels: int = 32
    max_streams: int = 64
    max_seconds_per_byte: float = 0.125
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


_SET_LIMITS = (
    'set -e; ulimit -c 0; ulimit -f 0; ulimit -n 64; ulimit -v "$1"; ulimit -t "$2"; shift 2; exec "$@"'
)


def limited(command: list[str], limits: MediaLimits) -> list[str]:
    """Return ``command`` behind a shell that first takes its limits: no core, no files written, memory, CPU.

    A shell, because code between fork and exec is not safe in a process with threads, and limits that are set
    from outside come after the child has begun.
    """
    memory = _at_most(resource.RLIMIT_AS, limits.max_memory_bytes)
    cpu = _at_most(resource.RLIMIT_CPU, limits.max_cpu_seconds)
    return ["/bin/sh", "-c", _SET_LIMITS, "sh", str(memory // 1024), str(cpu), *command]


def _at_most(kind: int, wanted: int) -> int:
    """Return ``wanted``, or the limit that this process itself is under when that is lower."""
    _, hard = resource.getrlimit(kind)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
