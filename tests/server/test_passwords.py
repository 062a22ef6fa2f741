"""Passwords: their parameters, their bounds, and what the time of a failed check must not tell."""

import asyncio
import os
import threading

import argon2
import pytest

from projectw_server.accounts import passwords as module
from projectw_server.accounts.passwords import NOBODY, Passwords
from projectw_server.accounts.threads import YIELDING, spare_cores
from projectw_shared.errors import Invalid, Unavailable


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(workers=1)


async def test_a_password_is_stored_with_owasps_parameters(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    parameters = argon2.extract_parameters(stored)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)


async def test_the_right_password_is_right_and_another_is_not(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("correct horsf", stored)


async def test_two_ways_to_compose_a_letter_are_one_password(passwords: Passwords) -> None:
    stored = await passwords.hash("caf\u00e9 au lait")
    assert await passwords.verify("cafe\u0301 au lait", stored)


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "é" * 513])
async def test_a_password_out_of_bounds_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(Invalid, match="at least 8 characters and at most 1024 bytes"):
        await passwords.hash(password)
    assert not await passwords.verify(password, await passwords.hash("something else"))


@pytest.mark.parametrize("password", ["ÿ" * 8, "x" * 1024])
async def test_a_password_at_the_bounds_is_taken(passwords: Passwords, password: str) -> None:
    assert await passwords.verify(password, await passwords.hash(password))


async def test_without_an_account_the_same_work_is_done(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    matches = Passwords._matches

    def spy(self: Passwords, secret: bytes, stored: str) -> bool:
        checked.append(stored)
        return matches(self, secret, stored)

    monkeypatch.setattr(Passwords, "_matches", spy)
    assert not await passwords.verify("no account has this password", None)
    assert checked == [NOBODY]
    assert not passwords.needs_rehash(NOBODY), "the stand-in must cost what a real hash costs"


async def test_the_stand_in_opens_nothing_even_with_its_own_password(passwords: Passwords) -> None:
    assert await passwords.verify("no account has this password", NOBODY)
    assert not await passwords.verify("no account has this password", None)


async def test_the_first_of_several_hashes_that_fits_is_told(passwords: Passwords) -> None:
    own, other = await passwords.hash("correct horse"), await passwords.hash("another horse")
    assert await passwords.verify_any("correct horse", [None, other, own, own]) == 2
    assert await passwords.verify_any("wrong horse", [None, other, own]) is None
    assert await passwords.verify_any("no account has this password", [None, None]) is None


async def test_several_hashes_are_one_turn_of_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    passwords = Passwords(workers=1, waiting=1)
    admitted = [asyncio.create_task(passwords.verify_any("x", [None, NOBODY])) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.verify("x", NOBODY)
    held.go.set()
    assert await asyncio.gather(*admitted) == [1, 1]


async def test_weaker_hashes_are_seen(passwords: Passwords) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")
    assert passwords.needs_rehash(weak)
    assert not passwords.needs_rehash(await passwords.hash("correct horse"))


class Held:
    """A check of passwords that takes until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        monkeypatch.setattr(Passwords, "_matches", self._matches)

    def _matches(self, secret: bytes, stored: str) -> bool:
        self.begun.set()
        assert self.go.wait(30)
        return True


async def test_too_many_at_once_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    passwords = Passwords(workers=1, waiting=1)
    admitted = [asyncio.create_task(passwords.verify("x", NOBODY)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await passwords.verify("x", NOBODY)
    assert refused.value.retry_after
    held.go.set()
    assert await asyncio.gather(*admitted) == [True, True]
    assert await passwords.verify("x", NOBODY), "there is room again"


async def test_a_caller_that_leaves_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    passwords = Passwords(workers=1, waiting=1)
    running = asyncio.create_task(passwords.verify("x", NOBODY))
    await asyncio.to_thread(held.begun.wait)
    leaving = asyncio.create_task(passwords.verify("x", NOBODY))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    held_place = asyncio.create_task(passwords.verify("x", NOBODY))
    await asyncio.sleep(0)
    held.go.set()
    assert await asyncio.gather(running, held_place) == [True, True]


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="there are no priorities here")
async def test_passwords_are_hashed_by_threads_that_let_others_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    priorities: list[int] = []

    def look(*_: object) -> bool:
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    monkeypatch.setattr(Passwords, "_matches", look)
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await Passwords(workers=1).verify("x", NOBODY)
    assert priorities == [max(here, YIELDING)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here, "the event loop keeps its own"


async def test_a_core_is_left_to_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert spare_cores() == workers


async def test_closed_passwords_say_that_the_server_stops(passwords: Passwords) -> None:
    passwords.close()
    with pytest.raises(Unavailable, match="stopping"):
        await passwords.verify("x", NOBODY)


async def test_the_event_loop_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    check = asyncio.create_task(Passwords(workers=1).verify("x", NOBODY))
    await asyncio.to_thread(held.begun.wait)
    assert not check.done()
    held.go.set()
    assert await check


def test_the_queue_is_bounded_by_default() -> None:
    assert module.WAITING_PER_WORKER > 0
