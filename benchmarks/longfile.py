"""How much memory the runner takes for three hours of audio, against three minutes.

Each file is transcribed in a process of its own, on the CPU, through the real path: ffmpeg in its box, the pipe, the
detector of speech, the windows, the spectrograms, the segments. The quick run leaves out the model's own computing,
which takes the same memory for every batch of windows; the whole run does the long file with it as well. ``--hours``
takes a longer one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report
from deploy.recordings import RecordingsMissing, cache, joined, librivox
from projectw_runner.media import find_ffmpeg

SHORT_SECONDS: Final = 3 * 60
HOURS: Final = 3.0
RISE_MB: Final = 200.0
ABOVE_MODEL_MB: Final = 1000.0
MODEL: Final = "tiny.en"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument(
        "--hours", type=_hours, default=HOURS, help="length of the long file (default: %(default)g)"
    )


def run(quick: bool, options: argparse.Namespace) -> Report:
    """Measure with the model left out and, unless ``quick``, with it: that takes about ten minutes on two cores."""
    report = Report(
        "Memory of the runner for a long recording",
        [
            "decoding",
            "audio s",
            "batches",
            "segments",
            "seconds",
            "peak MB",
            "above model MB",
            "rise MB",
            "goal met",
        ],
        notes=[
            f"Goal: the long file takes at most {RISE_MB:g} MB more than three minutes, and {ABOVE_MODEL_MB:g} MB"
            " more than the checkpoint's file.",
            "The recording is speech of a LibriVox reader, repeated and stored as FLAC.",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-longfile-") as name:
        folder = Path(name)
        voice = folder / "voice.wav"
        try:
            joined(librivox(cache()), voice)
        except RecordingsMissing as missing:
            raise SystemExit(str(missing)) from missing
        files = [_repeated(voice, seconds, folder) for seconds in (SHORT_SECONDS, options.hours * 3600)]
        for decoding in ("stubbed",) if quick else ("stubbed", "real"):
            _compare(report, decoding, files)
    return report


def measure(file: Path, model: str, decoding: str) -> dict[str, Any]:
    """Transcribe a file in a process of its own; see ``longfile_child``."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.longfile_child", str(file), model, decoding],
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compare(report: Report, decoding: str, files: Sequence[Path]) -> None:
    base = None
    for file in files:
        found = measure(file, MODEL, decoding)
        peak = found["peak_bytes"] / 1e6
        above = peak - found["model_bytes"] / 1e6
        rise = None if base is None else peak - base
        base = peak if base is None else base
        report.add(
            f"{MODEL}, {decoding}",
            round(found["audio_seconds"]),
            found["batches"],
            found["segments"],
            round(found["seconds"], 1),
            round(peak, 1),
            round(above, 1),
            None if rise is None else round(rise, 1),
            None if rise is None else rise <= RISE_MB and above <= ABOVE_MODEL_MB,
        )


def _repeated(voice: Path, seconds: float, folder: Path) -> Path:
    path = folder / f"{seconds:g}.flac"
    words = ["-nostdin", "-loglevel", "error", "-stream_loop", "-1", "-i", str(voice), "-t", str(seconds)]
    subprocess.run([find_ffmpeg(), *words, path], check=True)
    return path


def _hours(text: str) -> float:
    hours = float(text)
    if not 0.1 <= hours <= 24:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 24, the most that the runner takes")
    return hours
