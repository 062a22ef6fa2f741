"""How much memory the runner takes for three hours of audio, against three minutes.

Each file is transcribed in a process of its own, on the CPU, through the real path: ffmpeg in its box, the pipe, the
spectrogram, the windows, the segments. The quick run leaves out the model's own computing, which takes the same
memory for every window; the whole run does the long file with it as well.
"""

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from benchmarks.report import Report
from projectw_runner.media import find_ffmpeg

SHORT_SECONDS = 3 * 60
LONG_SECONDS = 3 * 3600
GOAL_MB = 200.0
MODEL = "tiny.en"
RATE = 16_000


def run(quick: bool) -> Report:
    """Measure with the model left out and, unless ``quick``, with it: that takes about ten minutes on two cores."""
    report = Report(
        "Memory of the runner for a long recording",
        [
            "decoding",
            "audio s",
            "windows",
            "segments",
            "seconds",
            "peak MB",
            "rise MB",
            "goal met",
        ],
        notes=[f"Goal: three hours take at most {GOAL_MB:g} MB more than three minutes."],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-longfile-") as folder:
        voice, what = _voice(Path(folder))
        report.notes.append(f"The recording is {what}, repeated and stored as FLAC.")
        files = [_encode(voice, seconds, Path(folder)) for seconds in (SHORT_SECONDS, LONG_SECONDS)]
        for decoding in ("stubbed",) if quick else ("stubbed", "real"):
            _compare(report, decoding, files)
    return report


def _compare(report: Report, decoding: str, files: list[Path]) -> None:
    base = None
    for file in files:
        found = _measure(file, decoding)
        peak = found["peak_bytes"] / 1e6
        rise = None if base is None else peak - base
        base = peak if base is None else base
        report.add(
            f"{MODEL}, {decoding}",
            round(found["audio_seconds"]),
            found["windows"],
            found["segments"],
            round(found["seconds"], 1),
            round(peak, 1),
            None if rise is None else round(rise, 1),
            None if rise is None else rise <= GOAL_MB,
        )


def _measure(file: Path, decoding: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.longfile_child", str(file), MODEL, decoding],
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _voice(folder: Path) -> tuple[Path, str]:
    """Return half a minute of speech: the clips that the tests have fetched, else bursts of noise in its rhythm."""
    clips = sorted((platformdirs.user_cache_path("projectw") / "test-clips").glob("*.wav"))
    if clips:
        pcm = b"".join(clip.read_bytes()[44:] + bytes(RATE) for clip in clips)
        what = "speech of a LibriVox reader"
    else:
        noise = np.random.default_rng(3).standard_normal(30 * RATE)
        rhythm = np.clip(np.sin(2 * np.pi * 4 * np.arange(30 * RATE) / RATE), 0, 1)
        pcm = (noise * rhythm * 3000).astype("<i2").tobytes()
        what = "noise in the rhythm of speech"
    path = folder / "voice.wav"
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes(pcm)
    return path, what


def _encode(voice: Path, seconds: int, folder: Path) -> Path:
    path = folder / f"{seconds}.flac"
    subprocess.run(
        [
            find_ffmpeg(),
            "-nostdin",
            "-loglevel",
            "error",
            "-stream_loop",
            "-1",
            "-i",
            voice,
            "-t",
            str(seconds),
            path,
        ],
        check=True,
    )
    return path
