"""Small files that claim or unfold to much: hours, rates, channels, streams, tables, sizes."""

import struct
import zlib
from typing import Final

from benchmarks.evil.boxes import box, find, resized
from benchmarks.evil.checksums import crc, ogg_page
from benchmarks.evil.stage import Evil, Stage, Verdict, content

HOUR: Final = 3600


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


DAY_OF_FLAC: Final = 24 * HOUR * 8_000 // 65_535 + 1
"""Frames of a day, about 155 kB."""


def wav_header(rate: int, channels: int, size: int, *, bits: int = 16, align: int | None = None) -> bytes:
    """Return the header of a WAV file that says it holds ``size`` bytes."""
    align = channels * bits // 8 if align is None else align
    return (
        b"RIFF" + struct.pack("<I", (36 + size) & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack(
            "<IHHIIHH", 16, 1, channels, rate, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits
        ) + b"data" + struct.pack("<I", size)
    )  # fmt: skip


def _wav(rate: int, channels: int, size: int = 20_000, *, bits: int = 16, align: int | None = None) -> bytes:
    return wav_header(rate, channels, size, bits=bits, align=align) + bytes(20_000)


def _aiff(rate: bytes) -> bytes:
    common = b"COMM" + struct.pack(">IhIh", 18, 1, 10_000, 16) + rate
    sound = b"SSND" + struct.pack(">III", 20_008, 0, 0) + bytes(20_000)
    return b"FORM" + struct.pack(">I", len(common) + len(sound) + 4) + b"AIFF" + common + sound


def _id3(claimed: int, held: int) -> bytes:
    size = bytes((claimed >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + bytes(held)


def _id3_of_frames(stage: Stage) -> bytes:
    frames = b"".join(
        b"TXXX" + struct.pack(">IH", 12, 0) + b"\x03key%03d\0abc" % (n % 1000) for n in range(40_000)
    )
    size = bytes((len(frames) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + frames + stage.encoded("x.mp3")


def _table(kind: bytes, body: bytes) -> Evil:
    """Return an honest MP4 with one of its tables of samples replaced."""

    def make(stage: Stage) -> bytes:
        path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", kind)
        return resized(stage.encoded("x.m4a"), path, box(kind, body))

    return content(make, "recording.m4a", "bounded")


def _claimed_length(stage: Stage) -> bytes:
    data = bytearray(stage.encoded("x.m4a"))
    for path in ((b"moov", b"mvhd"), (b"moov", b"trak", b"tkhd"), (b"moov", b"trak", b"mdia", b"mdhd")):
        at, _ = find(bytes(data), *path)
        struct.pack_into(">I", data, at + (28 if path[-1] == b"tkhd" else 24), 0xFFFFFFFE)
    return bytes(data)


def _nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(b"moov", data)
    return box(b"ftyp", b"isom\0\0\0\0isom") + data


def _stts(stage: Stage) -> bytes:
    """Return a film each of whose packets says it lasts hours, so that its end is days away."""
    body = struct.pack(">IIII", 0, 1, 88, 0x7FFFFFFF)
    return resized(
        stage.encoded("x.m4a"), (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"), box(b"stts", body)
    )


def _opus(packets: int, seconds_a_packet: float = 0.12) -> bytes:
    """Packets of 120 ms in three bytes each."""
    head = b"OpusHead\x01\x01" + struct.pack("<HIhB", 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)
    pages = [ogg_page(head, [len(head)], number=0, first=True), ogg_page(tags, [len(tags)], number=1)]
    packet = bytes([0x1B, 0x06, 0x00])  # SILK, 20 ms, six of them, of which one has a byte
    for number in range(packets // 255):
        granule = int((number + 1) * 255 * seconds_a_packet * 48_000)
        pages.append(ogg_page(packet * 255, [3] * 255, number=number + 2, granule=granule))
    return b"".join(pages)


def _amr(seconds: int) -> bytes:
    """Frames without data, a byte for 20 ms."""
    return b"#!AMR\n" + b"\x7c" * (50 * seconds)


def _wavpack(samples: int) -> bytes:
    """A block that says it holds so many samples and holds nothing."""
    flags = 1 | (1 << 2) | (1 << 11) | (1 << 12) | (6 << 23)
    body = b"\x0a\x00" * 20
    return (
        b"wvpk" + struct.pack("<IHBBIIIII", 24 + len(body), 0x410, 0, 0, samples, 0, samples, flags, 0) + body
    )


def _tta(samples: int) -> bytes:
    head = b"TTA1" + struct.pack("<HHHII", 1, 1, 16, 8_000, samples)
    return head + struct.pack("<I", zlib.crc32(head)) + bytes(20_000)


def _caf(packets: int) -> bytes:
    desc = struct.pack(">d4sIIIII", 8_000.0, b"alac", 0, 0, 4_096, 1, 16)
    pakt = struct.pack(">qqii", packets, packets * 4_096, 0, 0) + b"\x01" * 5_000
    chunks = ((b"desc", desc), (b"pakt", pakt), (b"data", bytes(20_000)))
    return b"caff\x00\x01\x00\x00" + b"".join(
        kind + struct.pack(">q", len(body)) + body for kind, body in chunks
    )


def _flac(frames: int, total: int = 0, verdict: Verdict = "bounded") -> Evil:
    return content(lambda _stage: flac_bomb(frames, total=total), "recording.flac", verdict)


def _xing(stage: Stage) -> bytes:
    data = bytearray(stage.encoded("x.mp3"))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    struct.pack_into(">I", data, at + 8, 0x7FFFFFFF)
    return bytes(data)


BOMBS: Final = {
    "flac-day": _flac(DAY_OF_FLAC, verdict="refused"),
    "flac-day-that-says-a-second": _flac(DAY_OF_FLAC, 8_000, verdict="refused"),
    "flac-claims-23-hours": _flac(100, 23 * HOUR * 8_000, verdict="refused"),
    "flac-claims-25-hours": _flac(100, 25 * HOUR * 8_000, verdict="refused"),
    "flac-two-hours-in-12-kB": _flac(900, verdict="refused"),
    "wav-claims-hours": content(_wav(16_000, 1, 0xFFFFFFF0), verdict="bounded"),
    "wav-of-1-Hz": content(_wav(1, 1)),
    "wav-of-0-Hz": content(_wav(0, 1)),
    "wav-of-4-GHz": content(_wav(0xFFFFFFFF, 1)),
    "wav-of-385-kHz": content(_wav(385_000, 1)),
    "wav-of-0-channels": content(_wav(16_000, 0, align=2)),
    "wav-of-33-channels": content(_wav(16_000, 33, 19_800)),
    "wav-of-65535-channels": content(_wav(16_000, 65_535, align=65_535)),
    "wav-of-65535-bits": content(_wav(16_000, 1, bits=65_535)),
    "wav-of-no-alignment": content(_wav(16_000, 1, align=0), verdict="bounded"),
    "aiff-of-endless-rate": content(_aiff(b"\x7f\xff\x80" + bytes(7)), "recording.aiff"),
    "aiff-of-negative-rate": content(_aiff(b"\xc0\x0e\xac\x44" + bytes(6)), "recording.aiff"),
    "au-of-0-Hz": content(
        b".snd" + struct.pack(">IIIII", 24, 20_000, 3, 0, 1) + bytes(20_000), "recording.au"
    ),
    "id3-claims-256-MB": content(lambda _stage: _id3((1 << 28) - 1, 20_000), "recording.mp3"),
    "id3-of-1.5-MB": content(
        lambda stage: _id3(3 << 19, 3 << 19) + stage.encoded("x.mp3"), "recording.mp3", "bounded"
    ),
    "id3-of-40000-frames": content(_id3_of_frames, "recording.mp3", "bounded"),
    "mp3-claims-2-billion-frames": content(_xing, "recording.mp3", "bounded"),
    "mp4-claims-days": content(_claimed_length, "recording.m4a", "bounded"),
    "mp4-packets-of-hours": content(_stts, "recording.m4a", "bounded"),
    "mp4-nested": content(lambda _stage: _nested(5_000), "recording.mp4"),
    "mp4-box-of-8-EB": content(
        box(b"ftyp", b"isom\0\0\0\0isom") + struct.pack(">I4sQ", 1, b"moov", (1 << 63) - 1) + bytes(1_000)
    ),
    "mp4-box-of-size-0": content(
        box(b"ftyp", b"isom\0\0\0\0isom") + struct.pack(">I4s", 0, b"moov") + bytes(5_000)
    ),
    "mp4-stts-of-4-billion": _table(b"stts", struct.pack(">II", 0, 0xFFFFFFFF) + bytes(8_000)),
    "mp4-stsz-of-2-billion": _table(b"stsz", struct.pack(">III", 0, 1, 0x7FFFFFFF)),
    "mp4-stsz-of-178-million": _table(b"stsz", struct.pack(">III", 0, 1, 178_000_000)),
    "mp4-stsc-of-4-billion": _table(b"stsc", struct.pack(">IIIII", 0, 1, 1, 0xFFFFFFFF, 1)),
    "mp4-stco-of-4-billion": _table(b"stco", struct.pack(">II", 0, 0xFFFFFFFF) + bytes(8_000)),
    "mp4-stts-of-100000": _table(
        b"stts", struct.pack(">II", 0, 100_000) + struct.pack(">II", 1_000_000, 1) * 100_000
    ),
    "opus-2-minutes-a-kB": content(lambda _stage: _opus(51_000), "recording.opus", "bounded"),
    "amr-of-nothing": content(lambda _stage: _amr(20_000), "recording.amr", "bounded"),
    "wavpack-of-a-day": content(_wavpack(0xFFFFFFF0), "recording.wv"),
    "tta-of-a-day": content(_tta(0xFFFFFFFE), "recording.tta"),
    "caf-of-2-billion-packets": content(_caf(1 << 31), "recording.caf", "bounded"),
}
