"""The benchmarks of accounts: their rank test, and that they run against a real server."""

import random

import pytest

from benchmarks.accounts.ranks import p_value
from benchmarks.counting import DOORS, run


def test_times_from_one_distribution_are_not_told_apart() -> None:
    chance = random.Random(1)
    values = [
        p_value([chance.gauss() for _ in range(50)], [chance.gauss() for _ in range(50)]) for _ in range(200)
    ]
    assert sum(value < 0.05 for value in values) < 25
    assert p_value([1.0] * 30, [1.0] * 30) == 1.0


def test_times_that_are_shifted_are_told_apart() -> None:
    chance = random.Random(1)
    first = [chance.gauss(10, 1) for _ in range(200)]
    assert p_value(first, [value + 1 for value in first]) < 1e-6
    assert p_value(range(20), range(100, 120)) < 1e-6


def test_the_probability_is_that_of_the_tables() -> None:
    # By hand: U is 2 of 25, the variance with two ties 22.64, so z is 2.10.
    assert p_value([1, 2, 3, 4, 5], [4, 5, 6, 7, 8]) == pytest.approx(0.0356, abs=0.0002)
    assert p_value([1, 2, 3], [4, 5, 6]) == p_value([4, 5, 6], [1, 2, 3])


def test_every_door_is_asked_for_known_and_unknown_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.counting.QUICK_PAIRS", 2)
    monkeypatch.setattr("benchmarks.counting.WARM_UP", 1)
    report = run(quick=True)
    assert [row[0] for row in report.rows] == list(DOORS)
    assert all(float(str(cell)) > 0 for row in report.rows for cell in row[2:5])
