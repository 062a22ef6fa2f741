"""An agent against the fake server, in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from projectw_runner.agent import Agent
from projectw_runner.client import RunnerClient
from projectw_runner.delivery import Delivery, Outbox
from projectw_runner.scratch import Scratch
from projectw_runner.work import Worker
from projectw_shared.http import Api, FixedToken
from projectw_shared.messages import Registration

from .fake_server import TOKEN, FakeServer, serving
from .fakes import FakeMedia, SteppedEngine

Logged = Callable[[str], bool]


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """Tell whether an event was logged; what is logged does not clutter the tests' output."""
    with capture_logs() as events:
        yield lambda event: any(each["event"] == event for each in events)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with serving(FakeServer()) as running:
        yield running


@pytest.fixture
def media() -> FakeMedia:
    return FakeMedia()


@dataclass
class RunningAgent:
    agent: Agent
    worker: Worker
    running: "asyncio.Task[None]"
    engine: SteppedEngine

    async def leaves(self, seconds: float = 20.0) -> None:
        """Wait for the agent's end; raises what ended it."""
        await asyncio.wait_for(self.running, seconds)

    async def stop(self) -> None:
        self.agent.stop()
        await self.leaves()

    async def crash(self) -> None:
        """End it as a power cut does: nothing more is said to the server."""
        self.running.cancel()
        await asyncio.wait({self.running})


@asynccontextmanager
async def api_of(url: str, token: str = TOKEN) -> AsyncIterator[Api]:
    async with Api(url, credentials=FixedToken(token), user_agent="test") as api:
        yield api


StartAgent = Callable[..., Awaitable[RunningAgent]]


@pytest.fixture
async def start_agent(server: FakeServer, media: FakeMedia, tmp_path: Path) -> AsyncIterator[StartAgent]:
    """Start an agent; all of them work in ``tmp_path``. What still runs at the end is cut off."""
    async with AsyncExitStack() as stack:

        async def start(
            engine: SteppedEngine | None = None,
            *,
            token: str = TOKEN,
            idle_seconds: float | None = None,
            step_seconds: float | None = None,
        ) -> RunningAgent:
            engine = engine or SteppedEngine()
            client = RunnerClient(await stack.enter_async_context(api_of(server.url, token)))
            worker = Worker(
                client,
                engine,
                open_recording=media.open,
                scratch=Scratch(tmp_path / "jobs"),
                thread=ThreadPoolExecutor(1, "engine"),
                idle_seconds=idle_seconds,
                step_seconds=step_seconds,
            )
            delivery = Delivery(client, Outbox(tmp_path / "outbox", token))
            registration = Registration("test", "0", engine.name, engine.device, engine.models())
            agent = Agent(client, worker, delivery, registration)
            running = asyncio.create_task(agent.run())

            async def end() -> None:
                engine.allow(1000)
                running.cancel()
                await asyncio.wait({running})
                if not running.cancelled():
                    running.exception()
                worker.close()

            stack.push_async_callback(end)
            return RunningAgent(agent, worker, running, engine)

        yield start
