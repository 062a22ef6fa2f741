"""The log: complete, and harmless to read."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from projectw_server import logs


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in logs.LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in libraries.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_comes_from_outside_cannot_forge_a_line(capsys: pytest.CaptureFixture[str], format: str) -> None:
    logs.set_up("info", format)  # type: ignore[arg-type]
    structlog.get_logger("x").info("upload", file="a\x1b[31m.wav\n2026 [info] forged\u202e")
    logging.getLogger("library").warning("said %s", "b\x1b]0;title\x07\nforged")
    told = capsys.readouterr().err
    assert told.count("\n") == 2
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_a_traceback_is_there_and_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    password = "hunter2"
    try:
        raise ValueError("broken" + password[:0])
    except ValueError:
        structlog.get_logger("x").exception("failed")
    told = capsys.readouterr().err
    assert "ValueError: broken" in told
    assert password not in told.replace('password = "hunter2"', "")


def test_less_important_messages_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", "json")
    structlog.get_logger("x").info("not this")
    logging.getLogger("uvicorn.error").info("nor this")
    structlog.get_logger("x").warning("but this", n=1)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "but this"
    assert json.loads(line)["level"] == "warning"


def test_libraries_tell_of_their_troubles_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("trouble")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["trouble"]
