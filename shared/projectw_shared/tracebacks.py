"""What is told of an error that nobody foresaw: where it happened, and not what people said or kept secret.

The words of an exception may quote anything: a password that is no number, the row that a database refuses, half a
transcript. So only those are told that the interpreter or the operating system has written, and no local variable is.
"""

import logging
import re
import traceback
from collections.abc import Iterator

from projectw_shared.text import safe, shorten

INDENT = "    "
"""Before each line, so that none can be taken for an event of its own."""

LEFT_OUT = "(its words are left out: they may quote what is nobody's business)"

_OF_THE_INTERPRETER = (
    AttributeError,
    ImportError,
    MemoryError,
    ModuleNotFoundError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
    UnboundLocalError,
    ZeroDivisionError,
)
_OF_A_DATABASE = ("OperationalError",)
"""Names of classes whose first line tells of tables and locks; the values stand in further lines or in quotes."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LONGEST = 300


def told(error: BaseException) -> str:
    """Return the traceback of ``error`` and of what led to it, each line indented and harmless."""
    lines = "".join(_chain(error, set())).splitlines()
    return "\n".join(f"{INDENT}{safe(line)}" for line in lines)


def words(error: BaseException) -> str:
    """Return what may be told of an exception's own words."""
    if isinstance(error, OSError) and error.strerror:
        return (
            error.strerror if error.filename is None else f"{error.strerror}: {_short(str(error.filename))}"
        )
    if type(error) in _OF_THE_INTERPRETER:
        return _short(str(error))
    if type(error).__name__ in _OF_A_DATABASE:
        return _short(_QUOTED.sub("'…'", str(error).partition("\n")[0]))
    return LEFT_OUT if str(error) else ""


def without_values(record: logging.LogRecord) -> bool:
    """Take out of a record of asyncio what it shows of the program's objects. A filter for a handler.

    It shows tasks with their exception, and in its debug mode calls with their arguments.
    """
    if record.name == "asyncio":
        record.msg = str(record.msg).partition("\n")[0]
        given = record.args if isinstance(record.args, tuple) else ()
        record.args = tuple(each if isinstance(each, int | float) else "…" for each in given)
    return True


def _chain(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__
    led_by = cause if cause is not None or error.__suppress_context__ else error.__context__
    if led_by is not None and id(led_by) not in seen:
        yield from _chain(led_by, seen)
        yield "This led to:\n" if cause is not None else "While this was handled:\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    kind = type(error)
    said = words(error)
    yield f"{kind.__module__}.{kind.__qualname__}{': ' if said else ''}{said}\n".removeprefix("builtins.")
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen:
                yield from (f"  | {line}\n" for part in _chain(inner, seen) for line in part.splitlines())


def _short(text: str) -> str:
    return shorten(" ".join(text.split()), _LONGEST)
