import asyncio

import pytest

from projectw_server.dispatch.waiters import Waiter, Waiters
from projectw_server.jobs.claiming import Holder
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Assignment

JOB = Assignment("job", 1, "a.wav", 1, "", JobSettings(), None, None, 0, 0.0, [])


SOME = ("*", "tiny")


def idle(runner: str, session: str = "s", offers: tuple[str, ...] = SOME) -> Waiter:
    waiter = Waiter(runner, session)
    waiter.holder = Holder(runner, session, runner, "1", offers)
    return waiter


async def test_the_idle_runner_that_has_waited_longest_is_next() -> None:
    waiters = Waiters()
    first, second, working = idle("a"), idle("b"), Waiter("c", "s", "job")
    for each in (working, first, second):
        waiters.add(each)
    assert waiters.next_idle(SOME) == [first]
    first.answer()
    assert waiters.next_idle(SOME) == [second]
    waiters.remove(second)
    assert waiters.next_idle(SOME) == []


async def test_idle_runners_are_told_apart_by_what_they_offer() -> None:
    waiters = Waiters()
    small, large = idle("a"), idle("b", offers=("*", "large-v3"))
    for each in (small, large, Waiter("c", "s", "job")):
        waiters.add(each)
    assert waiters.idle_offers() == {SOME, ("*", "large-v3")}
    assert waiters.next_idle(("*", "large-v3")) == [large]
    large.answer()
    assert waiters.idle_offers() == {SOME}


async def test_a_newer_heartbeat_ends_the_older_one_of_its_session_only() -> None:
    waiters = Waiters()
    older, other, newer = idle("a"), idle("b"), idle("a")
    assert waiters.add(older) is None
    waiters.add(other)
    assert waiters.add(newer) is older
    assert older.is_over
    assert older.is_dismissed
    assert not other.is_over
    waiters.remove(older)
    assert len(waiters) == 2


async def test_an_answer_reaches_the_one_who_waits_and_only_once() -> None:
    waiter = idle("a")
    waiting = asyncio.ensure_future(waiter.wait(10))
    await asyncio.sleep(0)
    assert waiter.answer(JOB)
    assert not waiter.answer()
    assert await waiting == JOB


async def test_nobody_is_answered_whose_time_is_up() -> None:
    waiter = idle("a")
    assert await waiter.wait(0.001) is None
    assert not waiter.answer(JOB)


async def test_nobody_is_answered_whose_client_has_gone() -> None:
    waiter = idle("a")
    waiting = asyncio.ensure_future(waiter.wait(10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not waiter.answer(JOB)
    assert waiter.assignment is None


async def test_a_claim_under_way_is_waited_for_when_the_time_is_up() -> None:
    waiter = idle("a")
    waiter.settled.clear()
    waiting = asyncio.ensure_future(waiter.wait(0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert waiter.answer(JOB)
    waiter.settled.set()
    assert await waiting == JOB


async def test_a_heartbeat_stays_known_until_nothing_is_claimed_for_it() -> None:
    waiters = Waiters()
    waiter = idle("a")
    waiters.add(waiter)
    waiter.settled.clear()
    waiters.remove(waiter)
    assert len(waiters) == 1
    waiter.settled.set()
    waiters.remove(waiter)
    assert len(waiters) == 0


async def test_news_end_the_heartbeats_that_they_are_for() -> None:
    waiters = Waiters()
    working, idling, other = Waiter("a", "s", "job"), idle("b"), idle("c")
    for each in (working, idling, other):
        waiters.add(each)
    waiters.end_job("job")
    waiters.end_runner("b")
    assert (working.is_over, idling.is_over, other.is_over) == (True, True, False)
    waiters.dismiss("c", "another session")
    assert not other.is_over
    waiters.end_all()
    assert other.is_over
    assert not other.is_dismissed


async def test_news_of_a_job_reach_every_heartbeat_that_names_it_and_none_that_is_over() -> None:
    waiters = Waiters()
    first, second = Waiter("a", "s", "job"), Waiter("b", "s", "job")
    waiters.add(first)
    waiters.add(second)
    waiters.remove(first)
    waiters.end_job("job")
    assert (first.is_over, second.is_over) == (False, True)
    waiters.remove(second)
    waiters.end_job("job")
    assert not waiters._working
