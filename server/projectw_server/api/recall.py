"""Answers that take their time, and end when whoever takes them may not have them any longer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, cast

import structlog
from quart import request

DROP: Final = "projectw.drop"
"""Where a request's scope has what ends its connection at once, with all that was written and not taken yet."""

LOOKED_EVERY_SECONDS = 1.0
"""How often it is looked whether whoever takes or sends a recording still may."""

MayGoOn = Callable[[], Awaitable[bool]]

_log = structlog.get_logger(__name__)


def dropping() -> Callable[[], object] | None:
    """Return what drops the connection of the present request; None where there is none, as in a test."""
    return cast("Callable[[], object] | None", request.scope.get(DROP))


async def watch(may_go_on: MayGoOn, drop: Callable[[], object]) -> None:
    """Call ``drop`` as soon as ``may_go_on`` says no.

    By then the head of the answer with its length has gone out, so there is no other way to say so; and a slow client
    would be handed what lies in the buffers for minutes.
    """
    while True:
        await asyncio.sleep(LOOKED_EVERY_SECONDS)
        try:
            is_good = await may_go_on()
        except Exception as error:  # noqa: BLE001  a look that fails says nothing of the right; the next one may
            _log.warning("whether an answer may go on could not be looked up", error=type(error).__name__)
            continue
        if not is_good:
            _log.info("an answer was broken off: the right to it has ended")
            drop()
            return
