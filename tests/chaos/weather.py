"""What the network does to everybody for a while: nothing, or one of a few kinds of trouble."""

import asyncio
from enum import StrEnum

DELAY_SECONDS = 0.3
RATE_BYTES = 20_000
STEP_BYTES = 2_000


class Trouble(StrEnum):
    """How a network fails, as TCP shows it."""

    CUT = "cut"
    """Connections break, and no new one can be made."""
    DELAY = "delay"
    """Everything comes later."""
    LOSS = "loss"
    """Nothing is passed on any more, and what waits is broken off in the end."""
    HALF_OPEN = "half-open"
    """Connections stay, new ones too, and whatever is sent into them vanishes."""
    THROTTLE = "throttle"
    """Everything trickles."""


class Weather:
    """The trouble of the moment, which every piece of data has to pass."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._changed = asyncio.Event()

    def turn(self, trouble: Trouble | None) -> None:
        """Begin ``trouble``, or end it with None."""
        self.trouble = trouble
        self._changed.set()
        self._changed = asyncio.Event()

    async def admits(self, size: int) -> bool:
        """Let ``size`` bytes wait their time, and tell whether they get through; if not, the connection is broken."""
        while self.trouble is Trouble.LOSS:
            await self._changed.wait()
            return False
        if self.trouble is Trouble.CUT:
            return False
        if self.trouble is Trouble.DELAY:
            await asyncio.sleep(DELAY_SECONDS)
        if self.trouble is Trouble.THROTTLE:
            await asyncio.sleep(size / RATE_BYTES)
        if self.trouble is Trouble.HALF_OPEN:
            # The other side hears nothing, not even the end, until the network is mended.
            await self._changed.wait()
            return False
        return True

    async def cut(self) -> None:
        """Return when connections are to be broken."""
        while self.trouble is not Trouble.CUT:
            await self._changed.wait()
