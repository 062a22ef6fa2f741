import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from projectw_shared.errors import Unauthorized
from projectw_shared.jobs import JobState
from projectw_shared.messages import Job, JobDeleted, SegmentsAdded
from projectw_tui import live
from projectw_tui.client import Client
from projectw_tui.live import Connected, Disconnected, Feed, News, Reset, backoff
from projectw_tui.settings import TuiSettings

from .conftest import until
from .fake_server import FakeServer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.random, "uniform", lambda *_: 0.01)


@asynccontextmanager
async def listening(settings: TuiSettings, token: str) -> AsyncIterator[list[News]]:
    """Hear what happens while the block runs."""
    heard: list[News] = []
    async with Client(settings, token=token) as client:

        async def listen() -> None:
            async with aclosing(Feed(client).news()) as news:
                async for item in news:
                    heard.append(item)

        task = asyncio.ensure_future(listen())
        try:
            await until(lambda: heard)
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def kinds(heard: list[News]) -> list[str]:
    return [type(item).__name__ for item in heard]


async def test_changes_are_heard_as_they_happen(fake: FakeServer, settings: TuiSettings) -> None:
    async with listening(settings, fake.grant()) as heard:
        job = fake.add()
        fake.say(job.id, "hello")
        fake.change(job.id, durable=False, progress=0.5)
        fake.remove(job.id)
        await until(lambda: len(heard) == 5)
    assert kinds(heard) == ["Connected", "Job", "SegmentsAdded", "Job", "JobDeleted"]
    assert isinstance(heard[2], SegmentsAdded)
    assert heard[2].segments[0].text == "hello"
    assert heard[4] == JobDeleted(job.id)


async def test_after_a_break_what_was_missed_is_heard_once(fake: FakeServer, settings: TuiSettings) -> None:
    async with listening(settings, fake.grant()) as heard:
        job = fake.add()
        await until(lambda: len(heard) == 2)
        await fake.stop()
        await until(lambda: any(isinstance(item, Disconnected) for item in heard))
        fake.change(job.id, state=JobState.RUNNING)
        await fake.start()
        await until(lambda: isinstance(heard[-1], Job))
        states = [item.state for item in heard if isinstance(item, Job)]
    assert states == [JobState.QUEUED, JobState.RUNNING]
    assert Connected(resumed=True) in heard


async def test_a_break_during_the_catching_up_loses_nothing(fake: FakeServer, settings: TuiSettings) -> None:
    """The greeting names the newest change; only what was heard after it counts as heard."""
    async with Client(settings, token=fake.grant()) as client:
        feed = Feed(client)
        async with aclosing(feed.news()) as news:
            assert await anext(news) == Connected(resumed=False)
            fake.add()
            assert isinstance(await anext(news), Job)
            missed = fake.add()
            fake.cut()
            heard: list[News] = [await anext(news)]
            if heard[0] != missed:  # it may have been sent before the cut
                assert isinstance(heard[0], Disconnected)
                assert await anext(news) == Connected(resumed=True)
                assert await anext(news) == missed


async def test_a_server_that_has_forgotten_asks_to_read_anew(fake: FakeServer, settings: TuiSettings) -> None:
    async with listening(settings, fake.grant()) as heard:
        fake.forgets_events = True
        fake.cut()
        await until(lambda: any(isinstance(item, Reset) for item in heard))


async def test_a_session_that_is_over_is_not_tried_again(fake: FakeServer, settings: TuiSettings) -> None:
    async with Client(settings, token="unknown") as client:
        with pytest.raises(Unauthorized):
            await anext(Feed(client).news())


async def test_events_of_a_later_server_are_passed_over(fake: FakeServer, settings: TuiSettings) -> None:
    async with listening(settings, fake.grant()) as heard:
        fake._tell("weather", b'{"sun": true}', 7)
        fake._tell("job", b'{"shape": "unknown"}', 8)
        job = fake.add()
        await until(lambda: len(heard) > 1)
    assert heard[1] == job


def test_pauses_grow_and_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.random, "uniform", lambda _low, high: high)
    assert [backoff(n) for n in range(6)] == [1, 2, 4, 8, 16, 20]
    assert backoff(5000) == 20
