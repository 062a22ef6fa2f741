"""What is told of an error that nobody foresaw."""

import json
import sqlite3
import subprocess
import sys

import pytest

from projectw_shared.tracebacks import told

SECRET = "hunter" + "2"
PREPARE = "from projectw_shared import crashes; crashes.prepare('it')\n"


def traceback_of(error: BaseException) -> str:
    try:
        raise error
    except BaseException as caught:
        return told(caught)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        RuntimeError(SECRET),
        json.JSONDecodeError(SECRET, SECRET, 0),
        UnicodeEncodeError("ascii", SECRET, 0, 1, SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        type("OperationalError", (sqlite3.OperationalError,), {})(f"near '{SECRET}'\nDETAIL: ({SECRET})"),
    ],
)
def test_an_exceptions_words_may_quote_anything_and_are_left_out(error: BaseException) -> None:
    said = traceback_of(error)
    assert SECRET not in said
    assert type(error).__name__ in said
    assert "test_tracebacks.py" in said


def test_words_of_the_interpreter_and_of_the_system_are_told() -> None:
    assert "no such table: jobs" in traceback_of(sqlite3.OperationalError("no such table: jobs"))
    assert "FileNotFoundError: No such file or directory: x" in traceback_of(
        FileNotFoundError(2, "No such file or directory", "x")
    )
    assert "has no attribute" in traceback_of(AttributeError("'int' object has no attribute 'x'"))


def test_what_led_to_it_is_told_and_a_circle_ends() -> None:
    first, second = ValueError("a"), TypeError("b")
    first.__cause__, second.__cause__ = second, first
    said = traceback_of(second)
    assert said.index("ValueError") < said.index("This led to") < said.index("TypeError: b")


def test_no_line_begins_as_an_event_does() -> None:
    said = traceback_of(TypeError("x\n2026-01-01 [info] forged\x1b[31m"))
    assert all(line.startswith("    ") for line in said.splitlines())
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "crash",
    [
        "raise ValueError(secret)",
        "import threading; t = threading.Thread(target=int, args=(secret,)); t.start(); t.join()",
        "class A:\n  def __del__(self): raise ValueError(secret)\nA()",
    ],
)
def test_a_program_that_crashes_says_where_and_not_what(crash: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", f"{PREPARE}secret = 'hun' + 'ter2'\n{crash}"], capture_output=True, text=True
    )
    assert "ValueError" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_a_program_that_aborts_leaves_no_image_of_its_memory() -> None:
    limits = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    ended = subprocess.run([sys.executable, "-c", PREPARE + limits], capture_output=True, text=True)
    assert ended.stdout == "(0, 0)\n"
