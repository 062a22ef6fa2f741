"""How a program ends that cannot go on: it says where, not with which words, and leaves no image of its memory."""

import resource
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

from projectw_shared.tracebacks import told


def prepare(program: str) -> None:
    """Make this process crash in a way that gives nothing away.

    What nobody catches is told as ``tracebacks.told`` tells it. A core file would hold passwords, tokens and
    recordings: the limit for it becomes zero, here and for the programs that this one starts.
    """

    def say(what: str, error: BaseException | None) -> None:
        if error is None or sys.stderr is None:
            return
        with suppress(OSError, ValueError):  # nobody is there to read it
            sys.stderr.write(f"{program}: {what}\n{told(error)}\n")
            sys.stderr.flush()

    def uncaught(kind: type[BaseException], error: BaseException, _where: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            say("ends by an error that was not foreseen", error)

    def uncaught_in_thread(found: Any) -> None:
        if not issubclass(found.exc_type, SystemExit):
            say("a thread ends by an error that was not foreseen", found.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    # Its object is not shown: a repr may hold anything.
    sys.unraisablehook = lambda found: say("an error at the end of an object was left aside", found.exc_value)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
