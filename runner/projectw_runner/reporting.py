"""The runner's signs of life to its service manager, which ends and starts it anew when they stay out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from projectw_runner.agent import Agent
from projectw_runner.work import Worker
from projectw_shared.supervision import Supervisor

PARTS = 4
"""How often within the time that is granted a sign is given."""

STATUS_SECONDS = 1.0
"""How often at least it is looked whether there is something new to say."""


@asynccontextmanager
async def reporting(supervisor: Supervisor, agent: Agent, worker: Worker) -> AsyncIterator[None]:
    """Say during the block what ``agent`` does, and that it lives."""
    task = asyncio.create_task(_report(supervisor, agent, worker), name="reporting")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _report(supervisor: Supervisor, agent: Agent, worker: Worker) -> None:
    """Say so from the agent's own event loop, which does not turn while native code keeps Python from running.

    An engine that hangs gets no more signs: whatever this process still does, it has no future.
    """
    status = ""
    granted = supervisor.watchdog_seconds
    pause = STATUS_SECONDS if granted is None else min(STATUS_SECONDS, granted / PARTS)
    while True:
        if not worker.has_hung:
            if agent.status != status:
                status = agent.status
                supervisor.tell(f"STATUS={status}")
            supervisor.tell("WATCHDOG=1")
        await asyncio.sleep(pause)
