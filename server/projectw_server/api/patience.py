"""How long a client is waited for that sends, or takes, little by little: pure, so it can be tested.

A bound on silence alone lets through who sends a byte a minute, a bound on the whole cuts off who has a slow line and
a large recording.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

from projectw_shared.errors import TooSlow


class Patience:
    """Seconds that are left for a client: what it waits away it earns back with bytes, up to what it began with.

    A client that goes on at ``rate`` bytes a second or faster is waited for without end. One that does nothing is given
    up after ``seconds``, whatever it has done before; one at a share of the rate that much later.
    """

    def __init__(self, seconds: float, rate: float) -> None:
        self.left = self._most = seconds
        self._rate = rate

    @property
    def is_over(self) -> bool:
        """The client was too slow."""
        return self.left <= 0

    def note(self, waited: float, count: int) -> None:
        """Reckon with ``count`` bytes that took ``waited`` seconds."""
        self.left = min(self._most, self.left - waited + count / self._rate)


async def steady(chunks: AsyncIterable[bytes], seconds: float, rate: float) -> AsyncGenerator[bytes, None]:
    """Yield ``chunks`` as long as they come at ``rate`` bytes a second, measured over ``seconds``.

    Only the time that is spent waiting for them counts. Raises TooSlow.
    """
    patience, clock = Patience(seconds, rate), asyncio.get_running_loop().time
    coming = aiter(chunks)
    while True:
        began = clock()
        try:
            async with asyncio.timeout(patience.left):
                chunk = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise _given_up(seconds, rate) from error
        patience.note(clock() - began, len(chunk))
        yield chunk
        if patience.is_over:
            raise _given_up(seconds, rate)


def _given_up(seconds: float, rate: float) -> TooSlow:
    return TooSlow(
        f"Nothing arrived for {seconds:g} s, or less than {rate:g} bytes a second, so the request was given up; "
        "send it again"
    )
