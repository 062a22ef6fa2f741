"""Exit codes of the three programs, those of ``sysexits.h`` where it has one for the case."""

from enum import IntEnum

from projectw_shared.errors import Forbidden, Unauthorized, Unreachable


class Exit(IntEnum):
    """What a program's end says to a script."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 69
    NOT_ALLOWED = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


def exit_code(error: BaseException) -> Exit:
    """Return the code to leave with after ``error``.

    A ``ConfigError`` is not looked for here, so that this module stays light: whoever loads the
    configuration leaves with ``Exit.CONFIGURATION``.
    """
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    if isinstance(error, Unauthorized | Forbidden):
        return Exit.NOT_ALLOWED
    return Exit.FAILED
