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
    structlog.get_logger("projectw.x").info("upload", file="a\x1b[31m.wav\n2026 [info] forged\u202e")
    logging.getLogger("library").warning("said %s", "b\x1b]0;title\x07\nforged")
    told = capsys.readouterr().err
    assert told.count("\n") == 2
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_names_of_values_are_harmless_too(capsys: pytest.CaptureFixture[str]) -> None:
    for format in ("text", "json"):
        logs.set_up("info", format)  # type: ignore[arg-type]
        structlog.get_logger("projectw.x").info("upload", **{"a\x1b[31m\nforged": 1})
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "\x1b" not in told


def test_libraries_do_not_tell_of_their_inner_life_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "text")
    for library in ("tortoise.db_client", "aiosqlite", "asyncio", "one.that.comes.later"):
        logging.getLogger(library).debug("INSERT %s", "what was said")
    structlog.get_logger("projectw_server.x").debug("ours")
    [line] = capsys.readouterr().err.splitlines()
    assert "ours" in line


def test_what_asyncio_tells_of_objects_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "text")
    asyncio = logging.getLogger("asyncio")
    asyncio.error("Task exception was never retrieved\nfuture: <Task exception=ValueError('hunter2')>")
    asyncio.warning("Executing %s took %.3f seconds", "<Handle login('hunter2')>", 0.25)
    told = capsys.readouterr().err
    assert "never retrieved" in told
    assert "took 0.250 seconds" in told
    assert "hunter2" not in told


def test_a_traceback_is_there_and_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    password = "hunter" + "2"
    try:
        raise ValueError(f"{password!r} is no number\n2026-01-01 [info] forged")
    except ValueError:
        structlog.get_logger("projectw.x").exception("failed")
    told = capsys.readouterr().err
    assert "ValueError: (" in told
    assert "test_logs.py" in told
    assert password not in told
    event, *traceback = told.splitlines()
    assert "failed" in event
    assert all(line.startswith("    ") for line in traceback), "a line of its own could be taken for an event"


def test_less_important_messages_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", "json")
    structlog.get_logger("projectw.x").info("not this")
    logging.getLogger("uvicorn.error").info("nor this")
    structlog.get_logger("projectw.x").warning("but this", n=1)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "but this"
    assert json.loads(line)["level"] == "warning"


def test_libraries_tell_of_their_troubles_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("trouble")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["trouble"]
