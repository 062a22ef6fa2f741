"""Foreign text made harmless: for terminals, for logs, for one line of a table.

File names, e-mail addresses, transcripts and error messages of other machines are data. Raw, they could
move the cursor, recolour the screen, set the clipboard, reorder what is read, or forge a line of a log.
"""

import re

STAND_IN = "\N{REPLACEMENT CHARACTER}"
"""What every dangerous character becomes: visible, one cell wide, and drawn by every terminal."""

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

# Written as escapes, since a reader cannot see these characters.
_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1 with the one-byte CSI
    "\u00ad"  # soft hyphen: there, and not seen
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # fillers and joiners that draw nothing
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, overrides and isolates of direction
    "\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\ufeff"  # of no width
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ufff9-\ufffb"  # interlinear annotations
    "\ud800-\udfff"  # unpaired surrogates, which no encoder of UTF-8 takes
    "\U000e0000-\U000e0fff"  # tags: a second, invisible alphabet
    "]"
    # The joiners decide how words of Persian, Urdu, Hindi and their neighbours are written; elsewhere they hide.
    "|(?<![\u0620-\u0dff])[\u200c\u200d]|[\u200c\u200d](?![\u0620-\u0dff])"
)


def safe(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return ``text`` with nothing left that a terminal acts on or that deceives a reader.

    Each dangerous character becomes one U+FFFD, a tab becomes a space. A line feed stays only with
    ``keep_newlines``, where ``\r\n`` and ``\r`` become one too. The zero-width joiners stay between two
    letters of the scripts from Arabic to Sinhala, which are misspelt without them, and nowhere else: an emoji
    of several parts falls into its parts.
    """
    text = text.replace("\t", " ")
    if not keep_newlines:
        return _DANGEROUS.sub(STAND_IN, text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(_DANGEROUS.sub(STAND_IN, line) for line in lines)


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
