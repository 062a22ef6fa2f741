"""What every room's tests need."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a program that a test has run in this process has configured: its stream is closed by then."""
    yield
    structlog.reset_defaults()
