"""The store of the limits: bounded, and not to be confused by a machine whose clock is corrected."""

from datetime import UTC, datetime, timedelta

import pytest

from projectw_server.api import limits
from projectw_server.api.limits import BoundedStore

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class TimeOfDay:
    """Stands in for ``datetime`` where it is asked for the time of day."""

    at = NOW

    @classmethod
    def now(cls, _zone: object) -> datetime:
        return cls.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[TimeOfDay]:
    class Clock(TimeOfDay):
        pass

    monkeypatch.setattr(limits, "datetime", Clock)
    return Clock


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
async def test_a_jump_of_the_clock_neither_locks_anybody_out_nor_lifts_a_limit(
    clock: type[TimeOfDay], jump: timedelta
) -> None:
    store = BoundedStore()
    await store.set("ada", NOW + timedelta(seconds=30))
    clock.at = NOW + jump
    kept = await store.get("ada", clock.at)
    assert timedelta(seconds=29) < kept - clock.at <= timedelta(seconds=30)


async def test_an_address_that_never_called_has_the_default() -> None:
    assert await BoundedStore().get("ada", NOW) == NOW


async def test_under_a_flood_the_oldest_addresses_are_forgotten() -> None:
    store = BoundedStore(most=3)
    later = datetime.now(UTC) + timedelta(seconds=60)
    for number in range(5):
        await store.set(str(number), later)
    kept = [number for number in range(5) if await store.get(str(number), NOW) != NOW]
    assert kept == [2, 3, 4]
