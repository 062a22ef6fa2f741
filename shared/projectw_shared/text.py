"""Foreign text made harmless: for terminals, for logs, for one line of a table.

File names, e-mail addresses, transcripts and error messages of other machines are data. Raw, they could
move the cursor, recolour the screen, set the clipboard, reorder what is read, or forge a line of a log.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

STAND_IN = "\N{REPLACEMENT CHARACTER}"
"""What every dangerous character becomes: visible, one cell wide, and drawn by every terminal."""

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

LONGEST_VALUE = 4000
"""Characters of a single value in a line of a log."""

# Written as escapes, since a reader cannot see these characters.
_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1 with the one-byte CSI
    "\u00ad"  # soft hyphen: there, and not seen
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # fillers and joiners that draw nothing
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, overrides and isolates of direction
    "\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\ufeff"  # of no width
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # annotations, and controls of shorthand and of music
    "\ud800-\udfff"  # unpaired surrogates, which no encoder of UTF-8 takes
    "\U000e0000-\U000e0fff"  # tags: a second, invisible alphabet
    "\ufdd0-\ufdef"  # no characters, and never will be; so are the last two of each plane
    + "".join(f"{chr(plane + 0xFFFE)}-{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
    # A selector of a glyph's variant stands behind what has variants, and alone; elsewhere sixteen of them are an
    # invisible alphabet too.
    "|(?<![0-9#*\u00a9\u00ae\u203c-\ufdff\U00010000-\U0003ffff])[\ufe00-\ufe0f]"
    # The joiners decide how words of Persian, Urdu, Hindi and their neighbours are written; elsewhere they hide.
    "|(?<![\u0620-\u0dff])[\u200c\u200d]|[\u200c\u200d](?![\u0620-\u0dff])"
)

MOST_MARKS = 8
"""Combining marks on one letter: the most that any language in use writes (Tibetan). Thousands of them would cover the
lines around, and make a terminal slow."""

# What is no letter, digit or space in a row that is long enough to be looked at mark by mark.
_CROWD = re.compile(rf"[^\w\s\x00-\x7f]{{{MOST_MARKS + 1},}}")


def safe(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return ``text`` with nothing left that a terminal acts on or that deceives a reader.

    Each dangerous character becomes one U+FFFD, a tab becomes a space. A line feed stays only with
    ``keep_newlines``, where ``\r\n`` and ``\r`` become one too. The zero-width joiners stay between two
    letters of the scripts from Arabic to Sinhala, which are misspelt without them, and nowhere else: an emoji
    of several parts falls into its parts. Of more than ``MOST_MARKS`` combining marks in a row the others together
    become one U+FFFD.
    """
    text = text.replace("\t", " ")
    if not keep_newlines:
        return _harmless(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(map(_harmless, lines))


def _harmless(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _CROWD.sub(_thinned, _DANGEROUS.sub(STAND_IN, text))


def _thinned(crowd: re.Match[str]) -> str:
    kept, marks = [], 0
    for character in crowd[0]:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if marks <= MOST_MARKS:
            kept.append(character)
        elif marks == MOST_MARKS + 1:
            kept.append(STAND_IN)
    return "".join(kept)


def safe_json(document: str) -> str:
    """Return a JSON ``document`` that says the same, with escapes for all that a terminal acts on."""
    return "\n".join(
        _CROWD.sub(_escaped_marks, _DANGEROUS.sub(_escape, line)) for line in document.split("\n")
    )


def _escaped_marks(crowd: re.Match[str]) -> str:
    is_mark = (unicodedata.category(character).startswith("M") for character in crowd[0])
    return "".join(_escape(each) if mark else each for each, mark in zip(crowd[0], is_mark, strict=True))


def _escape(found: str | re.Match[str]) -> str:
    pairs = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[n]:02x}{pairs[n + 1]:02x}" for n in range(0, len(pairs), 2))


def columns(text: str) -> int:
    """Return how many cells of a terminal ``text`` takes, as far as Unicode's tables tell."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells of a terminal, an ellipsis standing for its middle."""
    if columns(text) <= width:
        return text
    if width < 1:
        return ""
    head, rest = _taken(text, (width - 1) // 2)
    tail, _ = _taken(text[::-1], width - 1 - rest)
    return f"{head}{ELLIPSIS}{tail[::-1]}"


def _taken(text: str, width: int) -> tuple[str, int]:
    """Return the beginning of ``text`` that fits, and its cells."""
    used = 0
    for place, character in enumerate(text):
        cells = _cells(character)
        if used + cells > width:
            return text[:place], used
        used += cells
    return text, used


def shorten(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters, an ellipsis standing for its middle.

    The end is kept longer than the beginning by at most one character, so that a file keeps its suffix.
    Characters are counted, not cells.
    """
    if width < 1:
        return ""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = width - 1 - head
    return f"{text[:head]}{ELLIPSIS}{text[len(text) - tail :]}"


def harmless_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of a log with harmless names and texts, none of them without end; a traceback keeps its lines."""
    return {safe(key): _harmless_value(key, value) for key, value in event.items()}


def _harmless_value(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value  # a number, or what is shown by its repr, which escapes
    return safe(value, keep_newlines=True) if key == "exception" else safe(shorten(value, LONGEST_VALUE))
