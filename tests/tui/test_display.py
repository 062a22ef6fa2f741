from datetime import UTC, datetime, timedelta

import pytest

from projectw_shared.jobs import JobState
from projectw_tui.display import age, bar, clock, language_name, percent, size, state_word, waiting

from .fake_server import make_job


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0:00"),
        (59.9, "0:59"),
        (61, "1:01"),
        (5410, "1:30:10"),
        (-1e308, "0:00"),
        (1e308, "277777:46:40"),
    ],
)
def test_lengths_are_read_like_a_clock(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (17_300_000, "17 MB"), (999_600, "1.0 MB")],
)
def test_sizes_carry_a_decimal_unit(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3 * 3600, "3h"),
        (47 * 3600, "47h"),
        (6 * 86400, "6d"),
        (10**8, "3y"),
    ],
)
def test_ages_fit_into_four_cells(seconds: int, shown: str) -> None:
    now = datetime.now(UTC)
    assert age(now - timedelta(seconds=seconds), now) == shown


def test_a_bar_always_has_its_width() -> None:
    for fraction in (-1.0, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0):
        done, rest = bar(fraction, 8)
        assert len(done + rest) == 8
    assert bar(0.5, 8) == ("━━━━", "────")
    assert bar(1.0, 8) == ("━" * 8, "")


def test_a_percent_is_never_rounded_up_to_the_end() -> None:
    assert percent(0.999) == "99%"
    assert percent(1.0) == "100%"
    assert [percent(n / 100) for n in range(101)] == [f"{n}%" for n in range(101)]


def test_a_job_that_lets_go_is_cancelling_until_it_is_cancelled() -> None:
    running = make_job(state=JobState.RUNNING, cancel_requested=True)
    assert state_word(running) == "cancelling"
    assert state_word(make_job(state=JobState.CANCELLED, cancel_requested=True)) == "cancelled"


def test_a_waiting_job_shows_its_place_and_a_running_one_its_time() -> None:
    assert waiting(make_job(position=3)) == "#3"
    assert waiting(make_job(state=JobState.RUNNING, eta=134.0)) == "2:14"
    assert waiting(make_job(state=JobState.SUCCEEDED, eta=134.0)) == ""


def test_languages_have_names() -> None:
    assert [language_name(code) for code in ("de", "xx", None)] == ["German", "Xx", ""]
