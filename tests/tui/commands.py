"""Running the program as a person or a script does: as a process of its own."""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Running:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self, stdin: bytes | None = None, within: float = 30.0) -> Ended:
        """Wait for its end; one that does not come in time is brought about, and the test fails."""
        try:
            async with asyncio.timeout(within):
                out, err = await self.process.communicate(stdin)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(errors="surrogateescape"), err.decode())


async def start(*arguments: str, **environment: str) -> Running:
    """Start ``projectw`` with ``arguments``; its stdin is a pipe."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "projectw_tui",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **environment},
    )
    return Running(process)


async def projectw(*arguments: str, stdin: bytes | None = None, **environment: Any) -> Ended:
    """Run ``projectw`` to its end."""
    return await (await start(*arguments, **environment)).end(stdin)
