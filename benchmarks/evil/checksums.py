"""Checksums and the page of Ogg (RFC 3533), by which made-up files are taken for whole."""

import struct
from collections.abc import Sequence
from functools import cache


def crc(data: bytes, width: int, polynomial: int) -> int:
    """Return the checksum of ``data``, the highest bit first, from 0."""
    table = _table(width, polynomial)
    value, mask = 0, (1 << width) - 1
    for byte in data:
        value = ((value << 8) ^ table[(value >> (width - 8)) ^ byte]) & mask
    return value


def ogg_page(
    body: bytes, sizes: Sequence[int], *, number: int, granule: int = 0, serial: int = 1, first: bool = False
) -> bytes:
    """Return a page of packets of ``sizes`` bytes, each below 255."""
    head = struct.pack("<4sBBqIII", b"OggS", 0, 2 if first else 0, granule, serial, number, 0)
    page = head + bytes([len(sizes), *sizes]) + body
    return page[:22] + struct.pack("<I", crc(page, 32, 0x04C11DB7)) + page[26:]


@cache
def _table(width: int, polynomial: int) -> list[int]:
    top, mask = 1 << (width - 1), (1 << width) - 1
    table = []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table
