"""Driving the full-screen program in tests: start it signed in, read what it shows, wait for what it does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from textual.pilot import Pilot
from textual.screen import Screen

from projectw_tui.app import ProjectWApp
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.connection_bar import ConnectionBar
from projectw_tui.widgets.job_table import JobTable

S = TypeVar("S", bound=Screen[object])

NARROW = (80, 24)


@asynccontextmanager
async def signed_in(
    settings: TuiSettings, token: str, size: tuple[int, int] = NARROW
) -> AsyncIterator[Pilot[None]]:
    """Run the app until the block is left; it has a line to the server when the block begins."""
    app = ProjectWApp(settings, token=token)
    async with app.run_test(size=size, notifications=True) as pilot:
        await shows(pilot, lambda: [bar.connected for bar in app.screen.query(ConnectionBar)] == [True])
        yield pilot


async def shows(pilot: Pilot[None], condition: Callable[[], object], within: float = 15.0) -> None:
    """Wait until ``condition`` holds, with everything drawn."""
    async with asyncio.timeout(within):
        while True:
            await pilot.pause()
            if condition():
                return
            await asyncio.sleep(0.01)


async def arrives(pilot: Pilot[None], kind: type[S]) -> S:
    """Wait until a screen of ``kind`` is in front."""
    await shows(pilot, lambda: isinstance(pilot.app.screen, kind))
    screen = pilot.app.screen
    assert isinstance(screen, kind)
    return screen


def table(pilot: Pilot[None]) -> JobTable:
    """The list of jobs, wherever one is."""
    return next(found for screen in pilot.app.screen_stack for found in screen.query(JobTable))


def lines(pilot: Pilot[None]) -> list[str]:
    """What stands on the screen, line by line."""
    app = pilot.app
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).ljust(width)[:width] for strip in strips[:height]]


def text(pilot: Pilot[None]) -> str:
    """What stands on the screen."""
    return "\n".join(lines(pilot))


def row(pilot: Pilot[None], part: str) -> str:
    """The line that contains ``part``, or nothing."""
    return next((line for line in lines(pilot) if part in line), "")
