"""A program on a pseudo-terminal, and every byte that it writes there."""

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

SURROUNDINGS: Final = {
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
    "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    "PYTHONPATH": str(ROOT),
    "TEXTUAL_ANIMATIONS": "none",
}


class PseudoTerminal:
    """What a program writes; where it asks ``question``, ``answer`` is typed."""

    def __init__(
        self, master: int, process: asyncio.subprocess.Process, question: bytes, answer: bytes
    ) -> None:
        self._master = master
        self._question = question
        self._answer = answer
        self._answered_to = 0
        self.process = process
        self.output = bytearray()
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            self.output += os.read(self._master, 1 << 16)
        except OSError:  # the program's side is closed
            asyncio.get_running_loop().remove_reader(self._master)
            self._ended.set()
            return
        if self._question and (at := self.output.find(self._question, self._answered_to)) >= 0:
            self._answered_to = at + len(self._question)
            os.write(self._master, self._answer)

    async def end(self, within: float) -> int:
        """Wait until the program has ended and all that it wrote is read; return its exit code."""
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await self._ended.wait()
        return code

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)


@asynccontextmanager
async def on_a_terminal(
    words: Sequence[str | Path],
    *,
    cwd: Path,
    question: bytes = b"",
    answer: bytes = b"",
    size: tuple[int, int] = (100, 30),
    **environment: str,
) -> AsyncIterator[PseudoTerminal]:
    """Run a program with stdin, stdout and stderr on a pseudo-terminal of ``size`` columns and lines."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        cwd=cwd,
        env={**os.environ, **SURROUNDINGS, "COLUMNS": str(size[0]), "LINES": str(size[1]), **environment},
    )
    os.close(slave)
    found = PseudoTerminal(master, process, question, answer)
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        found.close()
