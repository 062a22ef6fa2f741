"""Recordings made in code, and the boxes in which they are read."""

import math
import struct
import subprocess
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from projectw_runner.media import Confinement, MediaLimits, find_ffmpeg, open_recording
from projectw_runner.media.trial import boxes

MakeWav = Callable[..., Path]
ReadAll = Callable[..., Awaitable[NDArray[np.float32]]]


@pytest.fixture(scope="session")
def ffmpeg() -> Path:
    return find_ffmpeg()


@pytest.fixture(scope="session")
def there(ffmpeg: Path) -> dict[str, Confinement]:
    """Return the boxes that work here."""
    return boxes(ffmpeg)


@pytest.fixture(params=["bubblewrap", "kernel", "limits alone"])
def confinement(request: pytest.FixtureRequest, there: dict[str, Confinement]) -> Confinement:
    if request.param not in there:
        pytest.skip(f"{request.param} does not work here")
    return there[request.param]


@pytest.fixture
def make_wav(tmp_path: Path) -> MakeWav:
    """Write a tone; the header may lie about the rate."""

    def make(name: str = "tone.wav", *, seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> Path:
        count = int(seconds * rate)
        tone = [int(12_000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(count)]
        frames = b"".join(struct.pack("<h", value) * channels for value in tone)
        path = tmp_path / name
        with wave.open(str(path), "wb") as writer:
            writer.setparams((channels, 2, rate, 0, "NONE", ""))
            writer.writeframes(frames)
        return path

    return make


@pytest.fixture
def encode(ffmpeg: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run the encoder: ``encode("x.mp3", "-i", wav)``."""

    def run(name: str, *arguments: str | Path) -> Path:
        path = tmp_path / name
        done = subprocess.run(
            [ffmpeg, "-nostdin", "-loglevel", "error", *map(str, arguments), str(path)],
            capture_output=True,
            text=True,
        )
        if "Unknown encoder" in done.stderr:
            pytest.skip(f"{ffmpeg} cannot write {name}")
        assert done.returncode == 0, done.stderr
        return path

    return run


@pytest.fixture
def read_all(ffmpeg: Path, confinement: Confinement) -> ReadAll:
    """Read a whole recording in pieces of a second."""

    async def read(path: Path, limits: MediaLimits | None = None) -> NDArray[np.float32]:
        async with open_recording(
            path, limits=limits or MediaLimits(), ffmpeg=ffmpeg, confinement=confinement
        ) as recording:
            pieces = []
            while len(piece := recording.read(16_000)):
                pieces.append(piece)
            return np.concatenate(pieces)

    return read
