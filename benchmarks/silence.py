"""What the runner writes, and how fast it is, where nobody speaks: silence, noise, music.

Each is a file of ten minutes, transcribed with the smallest model on the CPU through the real path, ffmpeg in its box
included; the model is loaded before the clock starts. The music is made up: chords of plucked strings over a bass.
"""

import tempfile
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.longfile import MODEL, measure
from benchmarks.report import Report
from projectw_runner.engines import SAMPLE_RATE

SECONDS: Final = 600
QUICK_SECONDS: Final = 60
GOAL: Final = 200.0
_NOISE_DB: Final = -40.0
_MUSIC_DB: Final = -20.0
_BAR_SECONDS: Final = 2
_CHORDS: Final = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))
"""A minor, F, C and G, as MIDI numbers."""

_PARTIALS: Final = 6

Sound = NDArray[np.float32]


def run(quick: bool) -> Report:
    """Measure; a quick run takes a minute of each."""
    report = Report(
        "Where nobody speaks",
        ["sound", "audio s", "batches", "seconds", "real-time factor", "segments", "text", "goal met"],
        notes=[
            f"Goal: no text, and silence more than {GOAL:g} times faster than it was recorded.",
            f"Model {MODEL} on the CPU. Real-time factor: seconds of audio a second.",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-silence-") as folder:
        for name, make in SOUNDS.items():
            path = Path(folder, "sound.wav")
            _store(make(QUICK_SECONDS if quick else SECONDS), path)
            found = measure(path, MODEL, "real")
            factor = found["audio_seconds"] / found["seconds"]
            report.add(
                name,
                round(found["audio_seconds"]),
                found["batches"],
                found["seconds"],
                factor,
                found["segments"],
                found["text"],
                not found["segments"] and (name != "digital silence" or factor > GOAL),
            )
    return report


def silence(seconds: int) -> Sound:
    """Return nothing at all."""
    return np.zeros(seconds * SAMPLE_RATE, np.float32)


def pink_noise(seconds: int) -> Sound:
    """Return noise whose power falls with the frequency, at -40 dB of full scale."""
    count = seconds * SAMPLE_RATE
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return _at(_NOISE_DB, np.fft.irfft(spectrum, count))


def music(seconds: int) -> Sound:
    """Return chords, broken and struck, over a bass, at -20 dB of full scale."""
    made = np.zeros(seconds * SAMPLE_RATE)
    for bar, begin in enumerate(range(0, seconds, _BAR_SECONDS)):
        chord = _CHORDS[bar % len(_CHORDS)]
        notes = [(0.0, chord[0] - 12, 2.0), *((0.0, note, 1.0) for note in chord)]
        notes += [(eighth / 4, chord[eighth % 3] + 12, 0.7) for eighth in range(8)]
        for late, note, loud in notes:
            first = int((begin + late) * SAMPLE_RATE)
            part = made[first : first + _BAR_SECONDS * SAMPLE_RATE]
            part += loud * _plucked(440 * 2 ** ((note - 69) / 12))[: len(part)]
    return _at(_MUSIC_DB, made)


SOUNDS: Final[Mapping[str, Callable[[int], Sound]]] = {
    "digital silence": silence,
    "pink noise, -40 dB": pink_noise,
    "music, -20 dB": music,
}


def _plucked(frequency: float) -> NDArray[np.float64]:
    """Return a string that rings out: the higher its partials, the softer and shorter."""
    time = np.arange(_BAR_SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    partials = (
        np.sin(2 * np.pi * n * frequency * time) * np.exp(-(1 + n) * time) / n
        for n in range(1, _PARTIALS + 1)
    )
    tone: NDArray[np.float64] = sum(partials) * np.minimum(time * 200, 1)
    return tone


def _at(decibels: float, sound: NDArray[np.float64]) -> Sound:
    loudness = np.sqrt(np.mean(np.square(sound)))
    made: Sound = (sound / loudness * 10 ** (decibels / 20)).astype(np.float32)
    return made


def _store(sound: Sound, path: Path) -> None:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        writer.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
