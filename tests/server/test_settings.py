"""The settings that follow from one another."""

import pytest

from projectw_server.settings import ServerSettings


@pytest.mark.parametrize(("lease", "beat"), [(60.0, 15.0), (120.0, 15.0), (8.0, 2.0)])
def test_a_runner_calls_four_times_within_a_lease_however_short_it_is(lease: float, beat: float) -> None:
    assert ServerSettings(lease_seconds=lease).beat_seconds == beat
