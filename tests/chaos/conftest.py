"""What the suite shares: accounts made once, and how many random orders of the protocol are tried.

``pytest tests/chaos/test_protocol.py --hypothesis-profile=long`` tries 10,000 of them.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.chaos.deployment import prepare

settings.register_profile(
    "long",
    max_examples=10_000,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with accounts, made by the operator's commands; copied for each deployment."""
    return prepare(tmp_path_factory.mktemp("prepared"))
