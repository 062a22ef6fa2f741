"""How many windows a batch has."""

from projectw_runner.engines.pace import Pace


def test_batches_grow_while_they_keep_to_their_time() -> None:
    pace = Pace(8)
    counts = []
    for seconds in (0.1, 0.2, 0.4, 0.8, 0.8, 8.0):
        counts.append(pace.count)
        pace.note(pace.count, seconds)
    assert counts == [1, 2, 4, 8, 8, 8]
    assert pace.count == 2
    pace.limit(1)
    pace.note(1, 0.1)
    assert pace.count == 1


def test_the_first_batch_may_be_larger_but_never_than_the_most() -> None:
    assert Pace(16, first=4).count == 4
    assert Pace(3, first=4).count == 3


def test_a_batch_without_windows_teaches_nothing() -> None:
    pace = Pace(8)
    pace.note(0, 0.0)
    assert pace.count == 1


def test_a_limit_holds_for_good() -> None:
    pace = Pace(16, first=8)
    pace.limit(2)
    assert pace.count == 2
    for _ in range(3):
        pace.note(2, 0.01)
    pace.limit(9)
    pace.note(2, 0.01)
    assert pace.count == 2
