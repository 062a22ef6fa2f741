"""What is said of files that ask for too much, and of damaged ones; ``test_evil`` goes through the catalogue."""

import random
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.evil.bombs import flac_bomb, wav_header
from projectw_runner.failures import JobFailure
from projectw_runner.media import MediaLimits

ReadAll = Callable[..., Awaitable[NDArray[np.float32]]]


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (3_999, 1), (384_001, 1), (16_000, 33)])
async def test_an_absurd_rate_or_channel_count_is_refused_by_name(
    tmp_path: Path, rate: int, channels: int, read_all: ReadAll
) -> None:
    path = tmp_path / "absurd.wav"
    path.write_bytes(wav_header(rate, channels, 20_064) + bytes(20_064))
    with pytest.raises(JobFailure) as refusal:
        await read_all(path)
    assert refusal.value.code == "unsupported-media"
    if channels == 1:
        assert f"{rate} samples a second" in refusal.value.message


async def test_a_lying_title_does_not_hide_the_true_rate(tmp_path: Path, read_all: ReadAll) -> None:
    title = b"x\n  Duration: 00:00:01.00, start\n  Stream #0:0: Audio: pcm_s16le, 16000 Hz, mono\0"
    title += b"\0" * (len(title) % 2)
    chunk = b"LIST" + struct.pack("<I", 12 + len(title)) + b"INFOINAM" + struct.pack("<I", len(title)) + title
    path = tmp_path / "liar.wav"
    header = wav_header(1, 1, 20_000)
    path.write_bytes(header[:36] + chunk + header[36:] + bytes(20_000))
    with pytest.raises(JobFailure, match="1 samples a second"):
        await read_all(path)


async def test_a_small_file_that_claims_many_hours_is_refused_at_once(
    tmp_path: Path, read_all: ReadAll
) -> None:
    path = tmp_path / "bomb.flac"
    path.write_bytes(flac_bomb(100, total=23 * 3600 * 8000))
    with pytest.raises(JobFailure) as refusal:
        await read_all(path)
    assert refusal.value.code == "media-limits"
    path.write_bytes(flac_bomb(100, total=25 * 3600 * 8000))
    with pytest.raises(JobFailure) as refusal:
        await read_all(path)
    assert refusal.value.code == "too-long"


async def test_a_small_file_that_unfolds_without_end_is_stopped(tmp_path: Path, read_all: ReadAll) -> None:
    path = tmp_path / "bomb.flac"
    path.write_bytes(flac_bomb(600, total=0))  # 8.5 kB, 82 minutes
    with pytest.raises(JobFailure) as refusal:
        await read_all(path)
    assert refusal.value.code == "media-limits"
    with pytest.raises(JobFailure) as refusal:
        await read_all(path, MediaLimits(max_seconds=60))
    assert refusal.value.code == "too-long"


async def test_of_many_tracks_the_first_is_read_or_the_file_refused(
    make_wav: Callable[..., Path], encode: Callable[..., Path], read_all: ReadAll
) -> None:
    silence = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=0.2"]
    maps = ["-map", "0:a", *["-map", "1:a"] * 80]
    path = encode("many.mkv", "-i", make_wav(seconds=0.2), *silence, *maps, "-c:a", "pcm_s16le")
    try:
        assert abs(await read_all(path)).max() > 0.1
    except JobFailure as refusal:  # as ffmpeg 5 does above its limit on streams
        assert refusal.code == "unsupported-media"


async def test_a_damaged_recording_ends_with_an_answer(
    make_wav: Callable[..., Path], encode: Callable[..., Path], read_all: ReadAll
) -> None:
    """Cut anywhere, or with bytes changed: samples or a sentence, never another exception."""
    wav = make_wav(seconds=2)
    rng = random.Random(7)
    for name in ("x.mp3", "x.flac", "x.mp4", "x.ogg"):
        whole = encode(name, "-i", wav).read_bytes()
        for data in (whole[: len(whole) // 2], whole[:100], flipped(whole, rng)):
            path = wav.parent / f"damaged-{name}"
            path.write_bytes(data)
            try:
                assert len(await read_all(path)) > 0
            except JobFailure as failure:
                assert failure.code in ("unsupported-media", "no-audio", "media-limits")


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(40):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
