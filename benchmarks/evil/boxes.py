"""The boxes of MP4 and QuickTime (ISO/IEC 14496-12), taken apart and put together."""

import struct


def box(kind: bytes, body: bytes) -> bytes:
    """Return a box with its size."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def find(data: bytes, *path: bytes) -> tuple[int, int]:
    """Return start and size of the box at the end of ``path``, taking the first of each kind; StopIteration without."""
    start, end = 0, len(data)
    at = size = 0
    for kind in path:
        at, size = next((at, size) for at, size, found in _boxes(data, start, end) if found == kind)
        start, end = at + 8, at + size
    return at, size


def resized(data: bytes, path: tuple[bytes, ...], replacement: bytes) -> bytes:
    """Return ``data`` with the box at ``path`` replaced, and the sizes of those around it set right.

    Offsets of samples stay true only while the samples come first, as in what ffmpeg writes.
    """
    at, size = find(data, *path)
    changed = bytearray(data[:at] + replacement + data[at + size :])
    for depth in range(1, len(path)):
        around, old = find(data, *path[:depth])
        struct.pack_into(">I", changed, around, old + len(replacement) - size)
    return bytes(changed)


def _boxes(data: bytes, start: int, end: int) -> list[tuple[int, int, bytes]]:
    found = []
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        found.append((start, size, kind))
        if size < 8:
            break
        start += size
    return found
