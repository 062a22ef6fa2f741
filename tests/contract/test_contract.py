"""A short exploration of the API; ``python -m tests.contract`` takes the minutes that find more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.exploring import Exploration

EXAMPLES = 1
SECONDS = 8.0
ENOUGH = 100
"""Requests of one caller, fewer than which prove nothing."""


@pytest.fixture
def exploration(tmp_path: Path) -> Iterator[Exploration]:
    exploration = Exploration(tmp_path)
    try:
        exploration.begin()
        yield exploration
    finally:
        exploration.close()


@pytest.mark.timeout(280)
def test_no_answer_is_an_error_of_the_server_or_outside_the_document(exploration: Exploration) -> None:
    for caller in exploration.callers():
        if caller.name not in ("nobody", "admin"):
            continue  # the others see less than an admin
        requests = 0
        # On a machine that is busy with other things few fit into that time.
        for seconds in (SECONDS, 3 * SECONDS, 6 * SECONDS):
            found = exploration.explore(caller, examples=EXAMPLES, seconds=seconds, seed=1)
            assert not found.failed, found.report
            if (requests := max(requests, found.requests)) > ENOUGH:
                break
        assert requests > ENOUGH
        assert exploration.is_good(caller)
