"""Honest files cut and changed, noise, several kinds at once, and what is no file."""

import os
import random
import socket as sockets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.evil.references import ID3, PNG, hls
from benchmarks.evil.stage import Evil, Stage, content

FORMATS: Final = (
    "x.wav",
    "x.mp3",
    "x.flac",
    "x.ogg",
    "x.opus",
    "x.m4a",
    "x.mkv",
    "x.mov",
    "x.aiff",
    "x.aac",
    "x.ts",
)

_CUTS: Final = (0.02, 0.33, 0.9)


def _cut(name: str, share: float) -> Evil:
    def make(stage: Stage) -> bytes:
        whole = stage.encoded(name)
        return whole[: max(1, int(len(whole) * share))]

    return content(make, f"recording{Path(name).suffix}", "bounded")


def _flipped(name: str) -> Evil:
    def make(stage: Stage) -> bytes:
        changed, chance = bytearray(stage.encoded(name)), random.Random(7)
        for _ in range(60):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)

    return content(make, f"recording{Path(name).suffix}", "bounded")


def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(50_000)


def _placed(put: Callable[[Stage, Path], None]) -> Evil:
    return Evil("recording.wav", put)


def _socket(_stage: Stage, path: Path) -> None:
    # By a short name from inside its folder: an address of this kind holds 107 bytes.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with sockets.socket(sockets.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _device(_stage: Stage, path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:  # a user's only way to a device
        path.symlink_to("/dev/zero")


def _all() -> Iterator[tuple[str, Evil]]:
    for name in FORMATS:
        for share in _CUTS:
            yield f"{name[2:]}-cut-at-{share:g}", _cut(name, share)
        yield f"{name[2:]}-with-bytes-changed", _flipped(name)
    for seed in range(3):
        yield f"noise-{seed}", content(_noise(seed))
    yield "zeros", content(bytes(1_000_000))
    yield "ones", content(b"\xff" * 300_000, "recording.mp3")
    yield "nothing", content(b"")
    yield "one-byte", content(b"R")
    yield "text", content(b"Dear diary, nothing was recorded today.\n" * 100)
    yield "playlist-in-riff", content(b"RIFF\xff\xff\xff\xffWAVE" + hls("victim.mp3"))
    yield "playlist-before-wav", content(lambda stage: hls("victim.mp3") + stage.encoded("x.wav"))
    yield (
        "playlist-behind-wav",
        content(lambda stage: stage.encoded("x.wav") + hls("victim.mp3"), verdict="bounded"),
    )
    yield (
        "playlist-in-ftyp",
        content(b"\0\0\0\x18ftypisom\0\0\0\0#EXTM3U\n" + hls("victim.mp3"), "recording.mp4"),
    )
    yield (
        "playlist-in-id3",
        content(ID3[:9] + b"\x7f" + hls("victim.mp3")[:127].ljust(127) + hls("victim.mp3")),
    )
    yield "image-before-mp3", content(lambda stage: PNG + stage.encoded("x.mp3"), "recording.mp3", "bounded")
    yield (
        "archive-before-mp3",
        content(lambda stage: b"PK\x03\x04" + bytes(26) + stage.encoded("x.mp3"), "recording.mp3", "bounded"),
    )
    yield "link", _placed(lambda stage, path: path.symlink_to(stage.folder / "victim.mp3"))
    yield "link-to-passwd", _placed(lambda _stage, path: path.symlink_to("/etc/passwd"))
    yield "link-to-zeros", _placed(lambda _stage, path: path.symlink_to("/dev/zero"))
    yield "fifo", _placed(lambda _stage, path: os.mkfifo(path))
    yield "device", _placed(_device)
    yield "folder", _placed(lambda _stage, path: path.mkdir())
    yield "socket", _placed(_socket)


DAMAGED: Final = dict(_all())

ODD_NAMES: Final = (
    "http:x.wav", "file:x.wav", "subfile,,start,0,end,9,,:x.wav", "data:x.wav", "crypto:x.wav", "concat:a|b.wav",
    "pipe:0", "fd:1", "-i.wav", "--help", "-", "%d.wav", "%03d.wav", "a b\n.wav", "a\x1b[31mb.wav", "*.wav",
    "a;b$(c).wav", "x.m3u8", "x.ffconcat", "x.sdp",
)  # fmt: skip
"""Names under which an honest recording is read like under any other."""
