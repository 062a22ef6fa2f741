"""Faults that nobody foresaw, put into our programs from outside: Python imports this file by itself when it starts.

Each of them quotes what it was about, as careless code and careless libraries do.
"""

import asyncio
import logging
import sys
from typing import Any

BOOM = "Plant-a-fault"
"""A password, file name or prompt with this in it meets a fault."""


def into_the_server() -> None:
    from projectw_server.accounts import api_tokens, sessions
    from projectw_server.jobs import leases

    def breaks(kind: Any, name: str, *, always: bool = False) -> None:
        whole = getattr(kind, name)
        done = []

        async def broken(self: Any, *arguments: Any, **options: Any) -> Any:
            shown = f"{arguments!r} {options!r} {[str(each) for each in arguments]}"
            if BOOM in shown or (always and not done):
                done.append(True)
                logging.getLogger("a.library").debug("it meets %s", shown)
                logging.getLogger("tortoise.db_client").debug("%s", shown)
                _forgotten_task(shown)
                raise ValueError(f"cannot take {shown}") from KeyError(shown)
            return await whole(self, *arguments, **options)

        setattr(kind, name, broken)

    breaks(sessions.Sessions, "login")
    breaks(sessions.Sessions, "refresh", always=True)
    breaks(api_tokens.ApiTokens, "identify", always=True)
    breaks(leases.Leases, "_store", always=True)


def into_the_runner() -> None:
    from projectw_runner.engines import fake

    whole = fake._segment

    def broken(number: int, start: float, end: float, task: Any) -> Any:
        prompt = task.settings.initial_prompt or ""
        segment = whole(number, start, end, task)
        if BOOM in prompt:
            logging.getLogger("a.library").warning("asyncio is %s", "fine")
            raise RuntimeError(f"cannot decode {prompt!r} after {segment.text}")
        import msgspec

        return msgspec.structs.replace(segment, text=f" {prompt}")

    fake._segment = broken


def _forgotten_task(shown: str) -> None:
    async def fails() -> None:
        raise ValueError(shown)

    _ = asyncio.get_running_loop().create_task(fails())


words = " ".join(sys.orig_argv)
if "projectw-server" in words and " serve" in words:
    into_the_server()
elif "projectw-runner" in words and " run" in words:
    into_the_runner()
