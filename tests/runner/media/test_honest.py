"""No honest recording is refused, whatever a device or a program has made of it."""

import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from projectw_runner.media import MediaLimits, find_confinement, open_recording

ReadAll = Callable[..., Awaitable[NDArray[np.float32]]]
Make = Callable[..., Path]

SAMPLES = Path(__file__).parents[4] / "shared" / "audio"

KINDS = {
    "eight-bits.wav": ["-c:a", "pcm_u8"],
    "24-bits.wav": ["-c:a", "pcm_s24le"],
    "floats.wav": ["-c:a", "pcm_f32le"],
    "telephone.wav": ["-ar", "8000", "-c:a", "pcm_mulaw"],
    "adpcm.wav": ["-c:a", "adpcm_ms"],
    "studio.flac": ["-ar", "96000", "-sample_fmt", "s32"],
    "surround.wav": ["-ac", "6"],
    "surround.m4a": ["-ac", "6", "-c:a", "aac"],
    "surround.flac": ["-ac", "6"],
    "surround.opus": ["-ac", "6", "-ar", "48000"],
    "moov-at-the-end.mp4": ["-c:a", "aac"],
    "moov-at-the-front.mp4": ["-c:a", "aac", "-movflags", "faststart"],
    "fragments.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "voice-memo.m4a": ["-c:a", "alac"],
    "film.mov": ["-c:a", "pcm_s16be"],
    "low.opus": ["-b:a", "6k", "-application", "voip", "-ar", "48000", "-ac", "1"],
    "low.mp3": ["-b:a", "8k", "-ar", "8000", "-ac", "1"],
    "browser.webm": ["-c:a", "libopus", "-ar", "48000", "-live", "1"],
    "streamed.mkv": ["-c:a", "flac", "-live", "1"],
    "big-endian.aiff": ["-ar", "44100", "-ac", "2"],
    "rf64.wav": ["-rf64", "always"],
    "silence.flac": ["-af", "volume=0"],
    "titled.mp3": ["-metadata", "title=" + "A very long title; " * 200, "-id3v2_version", "3"],
}


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_of_a_device_or_a_program_is_read(
    name: str, make_wav: Make, encode: Make, read_all: ReadAll
) -> None:
    samples = await read_all(encode(name, "-i", make_wav(seconds=2), *KINDS[name]))
    assert len(samples) / 16_000 == pytest.approx(2, abs=0.2)
    assert bool(np.abs(samples[8_000:24_000]).max() > 0.1) is (name != "silence.flac")


async def test_a_stream_without_sizes_is_read(make_wav: Make, read_all: ReadAll) -> None:
    """As a recorder writes it that cannot go back to its header."""
    path = make_wav(seconds=2)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(await read_all(path)) == 32_000


async def test_a_muted_hour_in_a_few_kilobytes_is_read(encode: Make, read_all: ReadAll) -> None:
    """The least that an honest codec makes of an hour: FLAC of a telephone line on which nobody spoke."""
    path = encode("muted.flac", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono:d=3600")
    assert path.stat().st_size < 500_000
    samples = await read_all(path)
    assert len(samples) == 3600 * 16_000
    assert not samples.any()


async def test_recordings_joined_end_to_end_are_read_whole(
    make_wav: Make, encode: Make, read_all: ReadAll
) -> None:
    """The header of the first speaks for itself alone."""
    one = encode("one.mp3", "-i", make_wav(seconds=2)).read_bytes()
    path = make_wav().with_name("joined.mp3")
    path.write_bytes(one * 300)
    assert len(await read_all(path)) / 16_000 == pytest.approx(600, rel=0.1)


async def test_real_speech_of_many_sources_is_read(ffmpeg: Path) -> None:
    if not (SAMPLES / "MANIFEST.tsv").exists():
        pytest.skip("the collection of speech does not lie beside this checkout")
    with (SAMPLES / "MANIFEST.tsv").open(newline="") as manifest:
        stated = {row["file"]: float(row["duration_s"]) for row in csv.DictReader(manifest, delimiter="\t")}
    box = find_confinement(ffmpeg)
    kinds = {(Path(name).parent, Path(name).suffix): name for name in stated}
    assert len(kinds) > 10
    for name in kinds.values():
        seconds = stated[name]
        async with open_recording(
            SAMPLES / name, limits=MediaLimits(), ffmpeg=ffmpeg, confinement=box
        ) as recording:
            while len(recording.read(480_000)):
                pass
            assert recording.position == pytest.approx(seconds, abs=2.5), (
                name
            )  # films state that of their pictures
