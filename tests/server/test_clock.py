import time
from datetime import UTC, datetime

import pytest

from projectw_server.clock import Clock, moment


def test_the_clock_begins_with_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    monkeypatch.setattr(time, "monotonic", lambda: 70.0)
    assert Clock().now() == 5000.0


def test_a_jump_of_the_machine_s_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 70.0
    monkeypatch.setattr(time, "monotonic", lambda: passed)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: 1.0)
    passed += 3
    assert clock.now() == 5003.0


def test_a_stored_time_is_told_in_utc_to_the_millisecond() -> None:
    assert moment(None) is None
    assert moment(0.1234567) == datetime(1970, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
