"""Files that were made to harm: none of them may bring another file's sound, or a runner down."""

import random
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import create_server

import numpy as np
import pytest
from numpy.typing import NDArray

from projectw_runner.failures import JobFailure
from projectw_runner.media import MediaLimits

ReadAll = Callable[..., Awaitable[NDArray[np.float32]]]

ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)


def hls(target: str) -> bytes:
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n"
    ).encode()


SUBTITLES = (
    b"1\n00:00:00,000 --> 00:00:05,000\nThis is no sound.\n\n2\n00:00:05,000 --> 00:00:09,000\nNor this.\n"
)
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
DASH = (
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    b'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0" '
    b'bandwidth="1"><BaseURL>victim.mp3</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000154"
    "a24f600000000049454e44ae426082"
)


@pytest.fixture
def victim(make_wav: Callable[..., Path], encode: Callable[..., Path]) -> Path:
    """Somebody else's recording, in the same folder."""
    encode("victim.mp3", "-i", make_wav("victim.wav", seconds=3))
    return encode("victim.ts", "-i", make_wav("victim.wav", seconds=3), "-c:a", "mp2")


def references(victim: Path) -> dict[str, bytes]:
    folder = victim.parent
    return {
        "hls-relative": hls("victim.mp3"),
        "hls-transport-stream": hls("victim.ts"),
        "hls-absolute": hls(str(folder / "victim.mp3")),
        "hls-behind-id3": ID3 + hls("victim.mp3"),
        "hls-behind-two-id3": ID3 + ID3 + hls(str(folder / "victim.mp3")),
        "hls-behind-a-byte-order-mark": b"\xef\xbb\xbf" + hls("victim.mp3"),
        "hls-file-url": hls(f"file:{folder}/victim.mp3"),
        "hls-concat": hls(f"concat:{folder}/victim.mp3|{folder}/victim.mp3"),
        "hls-subfile": hls(f"subfile,,start,0,end,9999,,:{folder}/victim.mp3"),
        "ffconcat": b"ffconcat version 1.0\nfile victim.mp3\n",
        "ffconcat-behind-id3": ID3 + b"ffconcat version 1.0\nfile victim.mp3\n",
        "m3u": b"victim.mp3\n",
        "pls": b"[playlist]\nFile1=victim.mp3\nNumberOfEntries=1\n",
        "asx": b'<asx version="3.0"><entry><ref href="victim.mp3"/></entry></asx>',
        "dash": DASH,
        "sdp": SDP,
        "subtitles": SUBTITLES,
        "webvtt": b"WEBVTT\n\n00:00.000 --> 00:05.000\nvictim.mp3\n",
        "image": PNG,
    }


@pytest.mark.parametrize("name", ["x.wav", "x.m3u8", "x.mp3", "x.ffconcat", "x"])
async def test_a_file_that_names_another_is_refused_whatever_its_own_name(
    victim: Path, name: str, read_all: ReadAll
) -> None:
    for kind, content in references(victim).items():
        path = victim.parent / name
        path.write_bytes(content)
        with pytest.raises(JobFailure) as refusal:
            await read_all(path)
        assert refusal.value.code in ("unsupported-media", "no-audio"), kind
        assert "recording" in refusal.value.message or "sound" in refusal.value.message


async def test_a_playlist_opens_no_connection(tmp_path: Path, read_all: ReadAll) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.0)
        port = listener.getsockname()[1]
        for content in (hls(f"http://127.0.0.1:{port}/a.ts"), hls(f"tcp://127.0.0.1:{port}")):
            path = tmp_path / "x.wav"
            path.write_bytes(content)
            with pytest.raises(JobFailure):
                await read_all(path)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_a_name_is_never_taken_for_an_address_or_an_option(
    make_wav: Callable[..., Path], read_all: ReadAll
) -> None:
    for name in ("http:x.wav", "-i.wav", "concat:a|b.wav", "a b\n.wav", "%d.wav"):
        assert len(await read_all(make_wav(name, seconds=0.5))) == 8000


def boxes(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    found = {}
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        found[kind] = (start, size)
        start += size
    return found


def with_foreign_reference(mp4: bytes, target: str) -> bytes:
    """Replace the data reference of the first track by a Macintosh alias to ``target``."""
    name = target.rsplit("/", 1)[-1].encode()
    record = struct.pack(">HH", 2, len(target)) + target.encode() + bytes(len(target) % 2)
    directory = struct.pack(">HH", 0, 1) + b"/" + b"\0"
    body = bytearray(4 + 10) + bytes([4]) + b"Disk".ljust(27, b"\0") + bytes(12)
    body += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 0, 1) + bytes(16)
    body += directory + record + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4s", len(body) + 8, b"alis") + bytes(body)
    chain, start, end = [], 0, len(mp4)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at, size = boxes(mp4, start, end)[kind]
        chain.append(at)
        start, end = at + 8, at + size
    dref, old = chain[-1], end - chain[-1]
    replaced = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    data = bytearray(mp4[:dref] + replaced + mp4[dref + old :])
    for at in chain[:-1]:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(replaced) - old)
    return bytes(data)


async def test_a_film_whose_data_lie_in_another_file_brings_nothing_of_it(
    victim: Path, encode: Callable[..., Path], tmp_path: Path, read_all: ReadAll
) -> None:
    film = encode("film.mov", "-i", victim.with_suffix(".wav"), "-c:a", "pcm_s16le")
    honest = await read_all(film)
    data = film.read_bytes()
    at, size = boxes(data, 0, len(data))[b"mdat"]
    emptied = data[: at + 8] + bytes(size - 8) + data[at + size :]
    evil = tmp_path / "evil.mov"
    evil.write_bytes(with_foreign_reference(emptied, str(film)))
    assert abs(honest).max() > 0.1
    with pytest.raises(JobFailure) as refusal:
        await read_all(evil)
    assert refusal.value.code == "no-audio"


def wav_header(rate: int, channels: int, size: int) -> bytes:
    return (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack(
            "<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16
        ) + b"data" + struct.pack("<I", size)
    )  # fmt: skip


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


def crc(data: bytes, width: int, polynomial: int) -> int:
    value, top = 0, 1 << (width - 1)
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & ((1 << width) - 1)
    return value


def flac_bomb(frames: int, *, total: int) -> bytes:
    """Silence at 8 kHz in frames of 65,535 samples and 14 bytes; ``total`` is what the header claims."""
    info = struct.pack(">HH", 65_535, 65_535) + bytes(6)
    info += ((8_000 << 44) | (0 << 41) | (15 << 36) | total).to_bytes(8, "big") + bytes(16)
    data = bytearray(b"fLaC\x80" + len(info).to_bytes(3, "big") + info)
    for number in range(frames):
        frame = b"\xff\xf8\x70\x08" + chr(number).encode("utf-8", "surrogatepass") + b"\xff\xfe"
        frame += bytes([crc(frame, 8, 0x07)]) + b"\x00\x00\x00"
        data += frame + crc(frame, 16, 0x8005).to_bytes(2, "big")
    return bytes(data)


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


async def test_random_bytes_are_refused(tmp_path: Path, read_all: ReadAll) -> None:
    path = tmp_path / "noise"
    for seed in range(3):
        path.write_bytes(random.Random(seed).randbytes(50_000))
        with pytest.raises(JobFailure) as refusal:
            await read_all(path)
        assert refusal.value.code in ("unsupported-media", "no-audio")


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
