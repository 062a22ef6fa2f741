"""The server's sign of life: the event loop turns, and the database answers."""

import asyncio
from typing import Any

from projectw_server.watchdog import watching
from projectw_shared.supervision import Supervisor

from .live import until


class Heard(Supervisor):
    def __init__(self) -> None:
        super().__init__("/nowhere", 0.04)
        self.signs = 0

    def tell(self, *assignments: str) -> None:
        self.signs += "WATCHDOG=1" in assignments


class Answering:
    """A database that answers, with an error, or not at all."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def rows(self, _statement: str) -> list[Any]:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return []


async def test_no_sign_is_given_while_the_database_does_not_answer() -> None:
    heard, database = Heard(), Answering()
    async with watching(heard, database):  # type: ignore[arg-type]  # all that is asked of it
        await until(lambda: heard.signs >= 2)
        database.gate.clear()
        await asyncio.sleep(0.05)
        before = heard.signs
        await asyncio.sleep(0.2)
        assert heard.signs == before
        database.gate.set()
        await until(lambda: heard.signs > before)


async def test_a_database_that_answers_with_an_error_is_no_reason_to_begin_anew() -> None:
    heard, database = Heard(), Answering()
    database.error = OSError("connection refused")
    async with watching(heard, database):  # type: ignore[arg-type]  # all that is asked of it
        await until(lambda: heard.signs >= 2)
