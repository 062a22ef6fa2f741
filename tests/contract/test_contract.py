"""A short exploration of the API; ``python -m tests.contract`` takes the minutes that find more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.exploring import Exploration

EXAMPLES = 1
SECONDS = 8.0


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
        found = exploration.explore(caller, examples=EXAMPLES, seconds=SECONDS, seed=1)
        assert not found.failed, found.report
        assert found.requests > 100
        assert exploration.is_good(caller)
