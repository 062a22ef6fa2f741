"""A server that is away for a while costs nothing that was done."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from projectw_runner.backoff import LONGEST_RETRY_AFTER, Backoff, passes_by_itself
from projectw_shared.errors import (
    Gap,
    Internal,
    LeaseLost,
    ProjectWError,
    SessionLost,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)

from .conftest import StartAgent
from .fake_server import FakeJob, FakeServer, serving
from .fakes import SteppedEngine

THREE = [" segment 0", " segment 1", " segment 2"]


@pytest.fixture
async def server() -> FakeServer:
    """A server that is not there yet; only its address is known."""
    server = FakeServer()
    async with serving(server):
        pass
    return server


def port(server: FakeServer) -> int:
    return int(server.url.rpartition(":")[2])


async def test_it_waits_for_a_server_that_is_not_there_yet(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent()
    job = await server.submit(FakeJob())
    await asyncio.wait({runner.running}, timeout=0.5)
    assert not runner.running.done()
    async with serving(server, port=port(server)):
        await server.until(lambda: bool(job.results))
        await runner.stop()
    assert job.texts == THREE


async def test_work_goes_on_while_the_server_is_away_and_is_sent_when_it_is_back(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    async with AsyncExitStack() as first:
        await first.enter_async_context(serving(server, port=port(server)))
        await server.until(lambda: len(job.segments) == 1)
    runner.engine.allow(2)
    await server.until(lambda: runner.engine.closed == 1)
    assert job.texts == THREE[:1]
    async with serving(server, port=port(server)):
        await server.until(lambda: bool(job.results))
        await runner.stop()
    assert job.texts == THREE
    assert (job.lease, len(server.sessions)) == (1, 1)


async def test_stopped_while_the_server_is_away_it_leaves_all_the_same(
    server: FakeServer, start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("projectw_runner.agent.FAREWELL_GRACE", 0.05)
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    async with serving(server, port=port(server)):
        await server.until(lambda: len(job.segments) == 1)
    runner.agent.stop()
    runner.engine.allow(1)
    await runner.leaves()
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (Unreachable(), True),
        (Unavailable(), True),
        (TooManyRequests(), True),
        (Internal(), True),
        (StorageFull(), True),
        (Unauthorized(), False),
        (LeaseLost(), False),
        (SessionLost(), False),
        (Gap(next=1), False),
    ],
)
def test_only_what_is_about_the_server_is_asked_again(error: ProjectWError, passes: bool) -> None:
    assert passes_by_itself(error) is passes


async def test_pauses_grow_to_a_limit_and_honour_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    backoff = Backoff(first=1.0, longest=8.0)
    for _ in range(6):
        await backoff.pause()
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(slept, (1, 2, 4, 8, 8, 8), strict=True))
    await backoff.pause(Unavailable(retry_after=15))
    await backoff.pause(Unavailable(retry_after=86_400))
    assert slept[-2:] == [15, LONGEST_RETRY_AFTER]
    backoff.reset()
    await backoff.pause()
    assert slept[-1] <= 1
