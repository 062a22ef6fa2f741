"""Who is waited for, and for how long: drippers are given up, slow and honest clients never."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from projectw_server.api.patience import Patience, steady
from projectw_shared.errors import TooSlow

SECONDS, RATE = 30.0, 1000.0


def given_up_after(step: float, count: int, *, limit: float = 100_000.0, before: int = 0) -> float | None:
    """Return after how many seconds a client is given up that sends ``count`` bytes each ``step`` seconds."""
    patience = Patience(SECONDS, RATE)
    patience.note(0.1, before)
    waited = 0.0
    while waited < limit:
        patience.note(step, count)
        waited += step
        if patience.is_over:
            return waited
    return None


@pytest.mark.parametrize("before", [0, 10**9])
def test_a_dripper_is_given_up_soon_whatever_it_has_sent_before(before: int) -> None:
    assert (given_up_after(1.0, 1, before=before) or 1e9) < 40
    assert (given_up_after(0.01, 1, before=before) or 1e9) < 40


def test_who_is_just_below_the_rate_is_given_up_later_and_who_keeps_to_it_never() -> None:
    assert 100 < (given_up_after(1.0, 900) or 0.0) < 400
    assert given_up_after(1.0, 1000) is None
    assert given_up_after(20.0, 100_000) is None


def test_a_pause_shorter_than_the_time_is_forgiven_again_and_again() -> None:
    assert given_up_after(29.0, 64 * 1024) is None


async def test_what_comes_is_passed_on_and_silence_is_given_up() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        await asyncio.Event().wait()

    seen = []
    with pytest.raises(TooSlow, match=r"Nothing arrived for 0\.05 s"):
        async for chunk in steady(stalling(), 0.05, 1e6):
            seen.append(chunk)
    assert seen == [b"one", b"two"]


async def test_drops_without_end_are_given_up() -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.002)
            yield b"x"

    with pytest.raises(TooSlow):
        async for _ in steady(dripping(), 0.05, 1e6):
            pass


async def test_the_time_that_the_reader_takes_does_not_count() -> None:
    async def quick() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"

    count = 0
    async for _ in steady(quick(), 0.1, 1e6):
        await asyncio.sleep(0.05)
        count += 1
    assert count == 5
