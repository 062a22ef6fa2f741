"""The faults: what each does to a running installation, and how it is mended."""

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from deploy.programs import Program
from tests.chaos.deployment import LEASE_SECONDS
from tests.chaos.points import AT_RUNNER, BY_CLIENT, Point
from tests.chaos.proxy import Line
from tests.chaos.weather import Trouble

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

SHORT_SECONDS: Final = LEASE_SECONDS / 4
LONG_SECONDS: Final = LEASE_SECONDS * 1.6
LOCKED_SECONDS: Final = 3.0
AN_HOUR: Final = 3600
SLOW_WRITE_SECONDS: Final = 0.2


class Fault(StrEnum):
    """What may go wrong at a point."""

    SERVER_KILLED = "server killed"
    SERVER_PAUSED = "server paused"
    SERVER_PAUSED_LONG = "server paused beyond a lease"
    RUNNER_KILLED = "runner killed"
    RUNNER_RESTARTED = "runner killed and restarted"
    RUNNER_PAUSED = "runner paused"
    RUNNER_PAUSED_LONG = "runner paused beyond a lease"
    RUNNER_TAKEN_OVER = "second runner with its token"
    CLIENT_KILLED = "client killed"
    CLIENT_PAUSED = "client paused"
    CUT = "network cut"
    DELAY = "network delayed"
    LOSS = "network loses"
    HALF_OPEN = "network half open"
    THROTTLE = "network throttled"
    ANSWER_LOST = "answer lost"
    DOUBLED = "requests doubled"
    REORDERED = "requests reordered"
    CLOCK_FORWARD = "clock jumps forward"
    CLOCK_BACK = "clock jumps back"
    DISK_FULL = "disk full"
    DISK_SLOW = "disk slow"
    DATABASE_LOCKED = "database locked"


TO_RUNNER: Final = frozenset(
    {
        Fault.RUNNER_KILLED,
        Fault.RUNNER_RESTARTED,
        Fault.RUNNER_PAUSED,
        Fault.RUNNER_PAUSED_LONG,
        Fault.RUNNER_TAKEN_OVER,
    }
)
TO_CLIENT: Final = frozenset({Fault.CLIENT_KILLED, Fault.CLIENT_PAUSED})
TO_CLOCK: Final = frozenset({Fault.CLOCK_FORWARD, Fault.CLOCK_BACK})
BY_MANNERS: Final = frozenset({Fault.DOUBLED, Fault.REORDERED})


def fits(fault: Fault, point: Point) -> bool:
    """Tell whether what ``fault`` befalls is there at ``point``."""
    if fault in TO_RUNNER:
        return point in AT_RUNNER
    if fault in TO_CLIENT:
        return point in BY_CLIENT
    return True


Strike = Callable[["Stage", Line], Awaitable[None]]


def _paused(whom: Callable[["Stage"], list[Program]], seconds: float) -> Strike:
    async def strike(stage: "Stage", line: Line) -> None:
        programs = [program for program in whom(stage) if program.returncode is None]
        for program in programs:
            program.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        for program in programs:
            program.send(signal.SIGCONT)

    return strike


def _servers(stage: "Stage") -> list[Program]:
    return [stage.victim]


async def _kill_server(stage: "Stage", line: Line) -> None:
    number = stage.deployment.servers.index(stage.victim)
    await stage.deployment.restart(number, after=stage.random.choice((0.0, SHORT_SECONDS, LONG_SECONDS)))


async def _kill_runner(stage: "Stage", line: Line) -> None:
    stage.runner.kill()


async def _restart_runner(stage: "Stage", line: Line) -> None:
    stage.runner.kill()
    await asyncio.sleep(stage.random.choice((0.0, SHORT_SECONDS, LONG_SECONDS)))
    stage.later(stage.start_runner())


async def _take_over(stage: "Stage", line: Line) -> None:
    stage.later(stage.start_runner())


async def _kill_client(stage: "Stage", line: Line) -> None:
    stage.client.kill()
    line.cut()


def _weather(trouble: Trouble) -> Strike:
    async def strike(stage: "Stage", line: Line) -> None:
        weather = stage.deployment.proxy.weather
        weather.turn(trouble)
        await asyncio.sleep(stage.random.choice((SHORT_SECONDS, LONG_SECONDS)))
        weather.turn(None)
        if trouble in (Trouble.LOSS, Trouble.HALF_OPEN):
            line.cut()

    return strike


async def _lose_answer(stage: "Stage", line: Line) -> None:
    line.cut()


async def _nothing(stage: "Stage", line: Line) -> None:
    """The trouble is in the manners of those who take part."""


def _clock(seconds: int) -> Strike:
    async def strike(stage: "Stage", line: Line) -> None:
        assert stage.clock is not None
        stage.clock.jump(seconds)

    return strike


async def _fill_disk(stage: "Stage", line: Line) -> None:
    assert stage.disk is not None
    await asyncio.to_thread(stage.disk.fill)
    stage.later(_mended(LONG_SECONDS, stage.disk.free))


async def _slow_disk(stage: "Stage", line: Line) -> None:
    assert stage.slow_disk is not None
    stage.slow_disk.slow(SLOW_WRITE_SECONDS)
    stage.later(_mended(LONG_SECONDS, stage.slow_disk.mend))


async def _mended(seconds: float, mend: Callable[[], None]) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(mend)


async def _lock_database(stage: "Stage", line: Line) -> None:
    locked = asyncio.Event()
    stage.later(_hold_lock(stage.deployment.database_url, LOCKED_SECONDS, locked))
    await locked.wait()


async def _hold_lock(url: str, seconds: float, locked: asyncio.Event) -> None:
    if not url.startswith("sqlite:"):
        await _hold_postgres(url, seconds, locked)
        return
    path = url.removeprefix("sqlite://").partition("?")[0]
    with closing(
        sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    ) as connection:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        locked.set()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(connection.execute, "ROLLBACK")


async def _hold_postgres(url: str, seconds: float, locked: asyncio.Event) -> None:
    from tests.chaos.snapshot import connected

    connection = await connected(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE jobs, segments IN EXCLUSIVE MODE")
            locked.set()
            await asyncio.sleep(seconds)
    finally:
        await connection.close()


STRIKES: Final[dict[Fault, Strike]] = {
    Fault.SERVER_KILLED: _kill_server,
    Fault.SERVER_PAUSED: _paused(_servers, SHORT_SECONDS),
    Fault.SERVER_PAUSED_LONG: _paused(_servers, LONG_SECONDS),
    Fault.RUNNER_KILLED: _kill_runner,
    Fault.RUNNER_RESTARTED: _restart_runner,
    Fault.RUNNER_PAUSED: _paused(lambda stage: [stage.runner], SHORT_SECONDS),
    Fault.RUNNER_PAUSED_LONG: _paused(lambda stage: [stage.runner], LONG_SECONDS),
    Fault.RUNNER_TAKEN_OVER: _take_over,
    Fault.CLIENT_KILLED: _kill_client,
    Fault.CLIENT_PAUSED: _paused(lambda stage: [stage.client], SHORT_SECONDS),
    Fault.CUT: _weather(Trouble.CUT),
    Fault.DELAY: _weather(Trouble.DELAY),
    Fault.LOSS: _weather(Trouble.LOSS),
    Fault.HALF_OPEN: _weather(Trouble.HALF_OPEN),
    Fault.THROTTLE: _weather(Trouble.THROTTLE),
    Fault.ANSWER_LOST: _lose_answer,
    Fault.DOUBLED: _nothing,
    Fault.REORDERED: _nothing,
    Fault.CLOCK_FORWARD: _clock(AN_HOUR),
    Fault.CLOCK_BACK: _clock(-AN_HOUR),
    Fault.DISK_FULL: _fill_disk,
    Fault.DISK_SLOW: _slow_disk,
    Fault.DATABASE_LOCKED: _lock_database,
}
