"""Where somebody speaks, by Silero's detector, which faster-whisper carries."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from projectw_runner.engines.faster_whisper.windows import Span


@dataclass(frozen=True)
class Hearing:
    """From which probability on a sound is speech, and the longest pause inside a window, in seconds."""

    threshold: float
    max_pause: float

    def find(self, samples: NDArray[np.float32]) -> list[Span]:
        """Return where somebody speaks, in samples. Half a minute takes a twentieth of a second."""
        options = VadOptions(
            threshold=self.threshold,
            min_speech_duration_ms=100,
            min_silence_duration_ms=100,
            speech_pad_ms=0,
        )
        return [(int(span["start"]), int(span["end"])) for span in get_speech_timestamps(samples, options)]


# White noise and hum stay below 0.13.
CAREFUL: Final = Hearing(0.25, 8.0)
"""Leaves out only what cannot be speech."""

STRICT: Final = Hearing(0.5, 2.0)
"""Leaves out what is not clearly speech, and pauses."""
