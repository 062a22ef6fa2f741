"""The name that a user gave a recording, kept as data only: no path is ever made of it."""

import unicodedata

MAX_NAME_BYTES = 255
MAX_EXTENSION_BYTES = 20
"""A longer ending is part of the name."""

UNNAMED = "recording"

_LEFT_OUT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates, separators of lines and paragraphs."""


def file_name_of(raw: str | None) -> str:
    """Return the base name in ``raw``, in NFC, without control characters, in at most 255 bytes of UTF-8.

    What is too long is cut before the extension. Where nothing is left, the name is ``recording``.
    """
    base = (raw or "").replace("\\", "/").rpartition("/")[2]
    seen = "".join(each for each in base if unicodedata.category(each) not in _LEFT_OUT)
    name = unicodedata.normalize("NFC", seen).strip()
    return _cut(name) if name.strip(".") else UNNAMED


def _cut(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > MAX_EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    room = MAX_NAME_BYTES - len((dot + extension).encode())
    return (stem.encode()[:room].decode(errors="ignore") + dot + extension).rstrip()
