"""What was written to a terminal, taken apart by ECMA-48: control functions here, text there, nothing left over."""

import re
from dataclasses import dataclass, field
from typing import Final

from projectw_shared.text import safe

_STRINGS: Final = {"]": "OSC", "P": "DCS", "_": "APC", "^": "PM", "X": "SOS"}

_TOKEN: Final = re.compile(
    r"""
    (?P<csi>\x1b\[(?P<parameters>[0-?]*)(?P<between>[ -/]*)(?P<final>[@-~]))
    | (?P<string>\x1b(?P<opener>[\]P_^X])(?P<content>(?:(?!\x1b\\|\x07).)*)(?:\x1b\\|\x07))
    | (?P<escape>\x1b[ -/]*[0-~])
    | (?P<lone>[\x00-\x1f\x7f-\x9f])
    | (?P<text>[^\x00-\x1f\x7f-\x9f]+)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Written:
    """``kinds`` are the control functions without what varies in them, ``raw`` with it; ``lines`` is the text."""

    kinds: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)
    text: str = ""


def take_apart(output: bytes) -> Written:
    """Read what a program wrote. Raises UnicodeDecodeError for what is no UTF-8."""
    written = Written()
    for token in _TOKEN.finditer(output.decode()):
        if (text := token["text"]) is not None:
            written.text += text
            continue
        written.raw.append(token[0])
        if token[0] == "\n":
            written.text += "\n"
        written.kinds.add(_kind(token))
    return written


def _kind(token: re.Match[str]) -> str:
    if token["csi"]:
        parameters = token["parameters"]
        # Modes are told apart by their number; places and colours only vary.
        if not (parameters.startswith(("?", ">", "<", "=")) or token["final"] in "hl"):
            parameters = ""
        return f"CSI {parameters}{token['between']}{token['final']}"
    if token["string"]:
        return f"{_STRINGS[token['opener']]} {re.split('[;+]', token['content'])[0]}"
    return repr(token[0])


def assert_harmless(written: Written, allowed: set[str]) -> None:
    """Nothing has controlled the terminal but what is ``allowed``, and nothing in the text deceives."""
    assert written.kinds <= allowed, (written.kinds - allowed, written.text[-300:])
    for control in written.raw:
        assert "EVIL" not in control, control
    for line in written.text.split("\n"):
        assert safe(line) == line, ascii(line)[:300]
