"""Containers of a thousand tracks, attachments, programs or joined pieces."""

import struct
from typing import Final

from benchmarks.evil.checksums import crc, ogg_page
from benchmarks.evil.stage import Stage, content

_OPUS_HEAD: Final = b"OpusHead\x01\x01" + struct.pack("<HIhB", 0, 48_000, 0, 0)
_OPUS_TAGS: Final = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)
_TS_PACKET: Final = 188


def _element(kind: bytes, body: bytes) -> bytes:
    """Return an element of EBML with a size of eight bytes."""
    return kind + struct.pack(">Q", len(body) | (1 << 56)) + body


def _matroska(tracks: int, attachments: int, *, depth: int = 0) -> bytes:
    head = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"matroska"))
    entries = b"".join(
        _element(
            b"\xae",
            _element(b"\xd7", struct.pack(">H", n + 1))
            + _element(b"\x73\xc5", struct.pack(">H", n + 1))
            + _element(b"\x83", b"\x02")
            + _element(b"\x86", b"A_PCM/INT/LIT")
            + _element(b"\xe1", _element(b"\xb5", struct.pack(">d", 16_000.0)) + _element(b"\x9f", b"\x01"))
        )
        for n in range(tracks)
    )  # fmt: skip
    files = b"".join(
        _element(
            b"\x61\xa7",
            _element(b"\x46\x6e", b"/etc/passwd")
            + _element(b"\x46\x60", b"audio/mpeg")
            + _element(b"\x46\xae", struct.pack(">H", n + 1))
            + _element(b"\x46\x5c", bytes(100)),
        )
        for n in range(attachments)
    )
    block = _element(b"\xa3", b"\x81\x00\x00\x80" + bytes(3_200))
    cluster = _element(b"\x1f\x43\xb6\x75", _element(b"\xe7", b"\x00") + block)
    body = (
        _element(b"\x16\x54\xae\x6b", entries)
        + (_element(b"\x19\x41\xa4\x69", files) if files else b"")
        + cluster
    )
    for _ in range(depth):
        body = _element(b"\xae", body)
    return head + _element(b"\x18\x53\x80\x67", body)


def _endless_matroska() -> bytes:
    head = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"matroska"))
    return (
        head
        + b"\x18\x53\x80\x67"
        + struct.pack(">Q", (1 << 56) | ((1 << 56) - 2))
        + b"\xec\x01\xff\xff\xff\xff\xff\xfe"
    )


def _transport_stream(programs: int, streams: int) -> bytes:
    """Return tables that announce ``programs`` of ``streams`` each, and a packet for every one."""
    associations = b"".join(struct.pack(">HH", n + 1, 0xE000 | (0x100 + n)) for n in range(programs))
    packets = _sections(0, 0x00, 1, associations)
    pid = 0x100 + programs
    for program in range(programs):
        entries = b"".join(struct.pack(">BHH", 0x03, 0xE000 | (pid + n), 0xF000) for n in range(streams))
        packets += _sections(
            0x100 + program, 0x02, program + 1, struct.pack(">HH", 0xE000 | pid, 0xF000) + entries
        )
        pid += streams
    for number in range(0x100 + programs, pid):
        pes = b"\x00\x00\x01\xc0\x00\x00\x80\x80\x05\x21\x00\x01\x00\x01" + b"\xff\xfd\x80\x04" * 42
        packets += (struct.pack(">BHB", 0x47, 0x4000 | number, 0x10) + pes).ljust(_TS_PACKET, b"\xff")[
            :_TS_PACKET
        ]
    return packets


def _sections(pid: int, table: int, identity: int, body: bytes) -> bytes:
    section = struct.pack(">BHHBBB", table, 0xB000 | (len(body) + 9), identity, 0xC1, 0, 0) + body
    section += struct.pack(">I", _mpeg_crc(section))
    payload = b"\x00" + section
    packets = b""
    for count, at in enumerate(range(0, len(payload), 184)):
        start = 0x4000 if at == 0 else 0
        packets += struct.pack(">BHB", 0x47, start | pid, 0x10 | (count & 15)) + payload[at : at + 184].ljust(
            184, b"\xff"
        )
    return packets


def _mpeg_crc(data: bytes) -> int:
    """Return MPEG's checksum, which begins from ones."""
    ones = bytes(byte ^ 0xFF for byte in data[:4]) + data[4:]
    return crc(ones, 32, 0x04C11DB7)


def _chained_ogg(links: int) -> bytes:
    packet = bytes([0x08, 0x00])
    return b"".join(
        ogg_page(_OPUS_HEAD, [len(_OPUS_HEAD)], number=0, serial=n + 1, first=True)
        + ogg_page(_OPUS_TAGS, [len(_OPUS_TAGS)], number=1, serial=n + 1)
        + ogg_page(packet * 10, [2] * 10, number=2, serial=n + 1, granule=9_600)
        for n in range(links)
    )


def _grouped_ogg(streams: int) -> bytes:
    heads = [
        ogg_page(_OPUS_HEAD, [len(_OPUS_HEAD)], number=0, serial=n + 1, first=True) for n in range(streams)
    ]
    tags = [ogg_page(_OPUS_TAGS, [len(_OPUS_TAGS)], number=1, serial=n + 1) for n in range(streams)]
    return b"".join(heads + tags)


def _many_tracks_of_mp4(stage: Stage) -> bytes:
    path = stage.folder / "honest-many.mp4"
    if not path.exists():
        own = str(stage.folder / "own.wav")
        stage.encoded("x.wav")
        stage.encode(path, "-i", own, *("-map", "0:a") * 200, "-t", "0.1", "-c:a", "aac")
    return path.read_bytes()


STREAMS: Final = {
    "mkv-of-1000-tracks": content(lambda _stage: _matroska(1_000, 0), "recording.mkv", "bounded"),
    "mkv-of-1000-attachments": content(lambda _stage: _matroska(1, 1_000), "recording.mkv", "bounded"),
    "mkv-nested": content(lambda _stage: _matroska(1, 0, depth=2_000), "recording.mkv", "bounded"),
    "mkv-without-end": content(_endless_matroska(), "recording.webm"),
    "mpegts-of-1000-streams": content(lambda _stage: _transport_stream(20, 50), "recording.ts", "bounded"),
    "mpegts-of-5000-programs": content(lambda _stage: _transport_stream(240, 20), "recording.ts", "bounded"),
    "ogg-chained": content(lambda _stage: _chained_ogg(2_000), "recording.opus", "bounded"),
    "ogg-of-1000-streams": content(lambda _stage: _grouped_ogg(1_000), "recording.ogg", "bounded"),
    "mp4-of-200-tracks": content(_many_tracks_of_mp4, "recording.mp4", "bounded"),
}
