"""The end of a command that was called wrongly, said harmlessly: what is quoted may be a file's name."""

import io
import sys
from typing import TYPE_CHECKING

from projectw_shared.text import safe

if TYPE_CHECKING:
    from click import ClickException


def show(error: "ClickException") -> None:
    """Write on stderr what click says of ``error``."""
    said = io.StringIO()
    error.show(said)
    sys.stderr.write(safe(said.getvalue(), keep_newlines=True))
    sys.stderr.flush()
