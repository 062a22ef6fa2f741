"""Copying to the clipboard of the machine that the person sits at, also over SSH: the sequence OSC 52."""

import base64
from collections.abc import Mapping

MAX_ENCODED = 74_994
"""Bytes of base64 that terminals and tmux are known to take; longer ones are cut or dropped without a word."""


class TooLongToCopy(ValueError):
    """The text is longer than a terminal takes."""


def osc52(text: str, environ: Mapping[str, str]) -> str:
    """Return what to write to the terminal so that it copies ``text``. Raises TooLongToCopy.

    Inside tmux it is sent twice: bare, which tmux takes with ``set-clipboard on``, and wrapped to pass through it,
    which it allows with ``allow-passthrough on``. Whichever is off is swallowed silently.
    """
    encoded = base64.b64encode(text.encode()).decode()
    if len(encoded) > MAX_ENCODED:
        raise TooLongToCopy(
            f"This text has {len(text):,} characters, more than a terminal takes; export it instead."
        )
    bare = f"\x1b]52;c;{encoded}\x07"
    if not environ.get("TMUX"):
        return bare
    doubled = bare.replace("\x1b", "\x1b\x1b")
    return f"{bare}\x1bPtmux;{doubled}\x1b\\"
