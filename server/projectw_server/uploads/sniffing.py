"""What the first bytes of an upload say: what is plainly no audio or video is refused at once.

Nothing is parsed here and nothing unknown is refused: decoding is the runner's, in its confinement.
"""

import mimetypes
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

import filetype

from projectw_shared.errors import UnsupportedMedia

HEAD_BYTES = 8192
"""How much of a recording is looked at; all that ``filetype`` looks at."""

UNKNOWN = "application/octet-stream"

RIGHT = "send audio or video, such as wav, mp3, m4a, flac, ogg, opus, mp4, mkv or webm"

_SHORT_TEXT = 64
"""Below this many bytes, what is not UTF-8 is too little to be called text."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "application/pdf": "a PDF document",
        "application/rtf": "an RTF document",
        "application/epub+zip": "an e-book",
        "application/msword": "an Office document",
        "application/vnd.ms-excel": "an Office document",
        "application/vnd.ms-powerpoint": "an Office document",
        "application/zip": "a ZIP archive",
        "application/x-executable": "a program",
        "application/x-msdownload": "a program",
        "application/wasm": "a program",
        "application/x-sqlite3": "a database",
        "application/postscript": "a PostScript document",
    }
)

_PROGRAMS = tuple(
    bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")
)
"""Mach-O and Java class files, which ``filetype`` does not know."""

_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")
"""Microsoft's compound files, the old Office documents: ``filetype`` wants more than their first bytes."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]")
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"#EXTM3U|\[playlist\]|ffconcat version|<\?wpl|<asx", "a playlist"),
        (r"<!doctype html|<html|<head|<body", "a web page"),
        (r"<\?xml|<svg|<[a-z]+[ >]", "XML"),
        (r"#!", "a script"),
        (r"%PDF-", "a PDF document"),
        (r"%!PS", "a PostScript document"),
        (r"\{\\rtf", "an RTF document"),
        (r"[\[{]\s*([\"\[{\]}\d-]|true|false|null)", "JSON"),
        (r"WEBVTT|1\s+\d\d:\d\d:\d\d,\d", "subtitles"),
    )
)


def refuse_what_is_no_media(head: bytes, file_name: str) -> str:
    """Return the media type of a recording that begins with ``head`` (up to ``HEAD_BYTES``).

    Raises ``UnsupportedMedia`` for text of every kind, documents, archives, pictures and programs. What is
    not known is let through as its extension or ``application/octet-stream``: many honest formats
    (MP3 with junk before it, GSM, DTS, raw codecs) have no first bytes of their own.
    """
    if not head:
        _refuse("an empty file")
    content = _behind_id3(head)
    if (text := _as_text(content)) is not None:
        _refuse(_kind_of_text(text))
    if content.startswith(_PROGRAMS):
        _refuse("a program")
    if content.startswith(_OFFICE):
        _refuse("an Office document")
    # With the tag before it the library recognises MP3, and behind the tag whatever it hides.
    for part in (content, head):
        found = filetype.guess_mime(part)
        if found is not None and found.startswith(("audio/", "video/")):
            return str(found)
        if found is not None:
            _refuse(_name_of(found))
    return _by_extension(file_name)


def _refuse(looks_like: str) -> NoReturn:
    raise UnsupportedMedia(f"This looks like {looks_like}, not like a recording; {RIGHT}")


def _name_of(media_type: str) -> str:
    if media_type.startswith("image/"):
        return "a picture"
    if "font" in media_type:
        return "a font"
    if "officedocument" in media_type or "opendocument" in media_type:
        return "an Office document"
    return _NAMES.get(media_type, "an archive or a file of another program")


def _behind_id3(head: bytes) -> bytes:
    """Return what follows an ID3v2 tag that ends within ``head``, else ``head`` (id3.org, ID3v2.4, 3.1)."""
    if not head.startswith(b"ID3") or len(head) < 10 or max(head[6:10]) > 0x7F:
        return head
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return head[10 + size :].lstrip(b"\0") or head


def _as_text(head: bytes) -> str | None:
    """Return ``head`` as text, or None when it is not plainly text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded(head[: len(head) & ~1], "utf-16")
    if _CONTROLS.search(head):
        return None
    text = _decoded(head, "utf-8")
    if text is None and len(head) >= _SHORT_TEXT and len(_PRINTABLE.findall(head)) > len(head) / 2:
        return head.decode("latin-1")
    return text


def _decoded(head: bytes, encoding: str) -> str | None:
    for cut in range(4):  # the head may end within a character
        try:
            text = head[: len(head) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if encoding == "utf-16" and _CONTROLS.search(text.encode()) else text
    return None


def _kind_of_text(text: str) -> str:
    start = text.lstrip("\ufeff \t\r\n")
    return next((name for pattern, name in _TEXTS if pattern.match(start)), "plain text")


def _by_extension(file_name: str) -> str:
    guessed, _ = mimetypes.MimeTypes().guess_type(file_name)
    return guessed if guessed is not None and guessed.startswith(("audio/", "video/")) else UNKNOWN
