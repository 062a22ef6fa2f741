"""The recordings, their references, and their samples, decoded once for everybody."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import numpy as np

from deploy import recordings
from projectw_runner.engines import SAMPLE_RATE
from projectw_runner.media import find_ffmpeg

SUFFIXES: Final = (
    ".aac", ".aif", ".aiff", ".amr", ".au", ".avi", ".caf", ".flac", ".m4a", ".m4b", ".mkv", ".mov", ".mp3",
    ".mp4", ".mpg", ".oga", ".ogg", ".opus", ".wav", ".webm", ".wma",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A recording: ``name`` for people, ``reference`` is what is said in it, None when that is not known."""

    name: str
    path: Path
    reference: str | None


@dataclass(frozen=True)
class Recording:
    """A recording as samples: a ``.npy`` file of 16 kHz, mono, float32."""

    name: str
    samples: Path
    seconds: float
    reference: str | None


def find(folder: Path | None, only: Sequence[str]) -> list[Source]:
    """Return the recordings of a folder and of those in it, by name; without a folder, the LibriVox clips.

    ``only``: patterns of which one must fit the name, which is the path in the folder. Raises
    ``recordings.RecordingsMissing`` when the clips cannot be fetched.
    """
    found = _clips() if folder is None else _in(folder)
    return [each for each in found if not only or any(fnmatch(each.name, pattern) for pattern in only)]


def decode(source: Source, target: Path) -> Recording | None:
    """Write the samples of a recording to ``target``; None when ffmpeg finds no sound in it."""
    words = ["-nostdin", "-loglevel", "error", "-i", str(source.path), "-vn"]
    pcm = subprocess.run(
        [find_ffmpeg(), *words, "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "s16le", "pipe:1"],
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    if not len(samples):
        return None
    np.save(target, samples)
    return Recording(source.name, target, len(samples) / SAMPLE_RATE, source.reference)


def _clips() -> Iterator[Source]:
    for clip in recordings.librivox(recordings.cache()):
        yield Source(clip.path.name, clip.path, clip.text)


def _in(folder: Path) -> Iterator[Source]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            text = path.with_suffix(".txt")
            reference = text.read_text("utf-8").strip() if text.is_file() else None
            yield Source(str(path.relative_to(folder)), path, reference)
