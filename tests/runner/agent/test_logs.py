"""Logs are lines for people or for machines, with nothing in them that acts on a terminal."""

import json
from collections.abc import Iterator

import pytest
import structlog

from projectw_runner import logs
from projectw_shared.http import Exchange


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """Let the real rendering happen here, and undo it."""
    yield
    structlog.reset_defaults()


def test_a_line_of_text_names_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    structlog.get_logger().info("job begins\x1b[2J", file="a\x1b[31m\nb", seconds=3)
    line = capsys.readouterr().err
    assert "job begins" in line
    assert "seconds=3" in line
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_a_line_of_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger().warning("job failed", code="no-audio")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["code"]) == ("job failed", "warning", "no-audio")


def exchange(path: str) -> Exchange:
    return Exchange("POST", path, "the-id", 200, 0.0123, None)


def test_requests_are_told_with_their_ids_and_heartbeats_only_when_debugging(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    with structlog.contextvars.bound_contextvars(job_id="the-job", lease=3):
        logs.log_exchange(exchange("/api/runners/heartbeat"))
        logs.log_exchange(exchange("/api/runners/jobs/x/result"))
    line = json.loads(capsys.readouterr().err)
    assert (line["request_id"], line["job_id"], line["lease"]) == ("the-id", "the-job", 3)
    assert (line["status"], line["ms"]) == (200, 12.3)


def test_what_is_less_important_than_asked_for_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "text")
    structlog.get_logger().info("not this")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_shows_the_place_but_no_values(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form)
    transcript = "what was said in private"
    try:
        len(transcript, 1)  # type: ignore[call-arg]
    except TypeError:
        structlog.get_logger().exception("job failed unexpectedly")
    said = capsys.readouterr().err
    assert "TypeError" in said
    assert "test_logs.py" in said
    assert transcript not in said
