"""The program on a real pseudo-terminal: what bytes reach it."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from projectw_shared.jobs import JobState

from .fake_server import HOSTILE_NAMES, FakeServer

# What the interface itself writes: colours, cursor, modes, synchronised output, and nothing else.
OWN = re.compile(
    r"\x1b\]22;[a-z-]*\x07|"  # the shape of the mouse pointer
    r"\x1b\[[0-9;:?>=<$ ]*[A-Za-z~]|\x1b\[\?[0-9;]*\$p|\x1b[=>()78][0B]?|\x1bP[^\x1b]*\x1b\\|\x1b_G[^\x1b]*\x1b\\"
)
FOREIGN = ("\x1b]52", "\x1b[31m", "\x9b", "\u202e", "\x07")


class Terminal:
    """A pseudo-terminal of 80 by 24 with a program in it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self.process = process
        self.written = b""
        self._typed_at = 0
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            self.written += os.read(self._master, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace")

    def type(self, keys: str) -> None:
        self._typed_at = len(self.written)
        os.write(self._master, keys.encode())

    async def shows(self, words: str, within: float = 30.0) -> None:
        """Wait until ``words`` have been written since the last key."""
        async with asyncio.timeout(within):
            while words not in OWN.sub("", self.written[self._typed_at :].decode(errors="replace")):
                await asyncio.sleep(0.02)

    async def leave(self, keys: str) -> None:
        """Press ``keys`` again and again, since one cannot see which screen has them, until the program ends."""
        async with asyncio.timeout(20):
            while self.process.returncode is None:
                self.type(keys)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.process.wait(), 0.2)
        assert self.process.returncode == 0

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)


@asynccontextmanager
async def terminal(*arguments: str, **environment: str) -> AsyncIterator[Terminal]:
    """Run ``projectw`` on a pseudo-terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "projectw_tui",
        *arguments,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment},
    )
    os.close(slave)
    found = Terminal(master, process)
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        found.close()


def assert_nothing_foreign(written: str) -> None:
    rest = OWN.sub("", written)
    for sequence in FOREIGN:
        assert sequence not in rest, (sequence, rest[max(0, rest.find(sequence) - 50) :][:120])
    assert "\x1b" not in rest, rest[max(0, rest.find("\x1b") - 50) :][:120]


async def test_no_foreign_control_byte_reaches_the_terminal(fake: FakeServer) -> None:
    for name in HOSTILE_NAMES:
        job = fake.add(file_name=name, state=JobState.SUCCEEDED)
        fake.say(job.id, *HOSTILE_NAMES, "The last sentence.")
    async with terminal(PROJECTW_SERVER=fake.url, PROJECTW_TOKEN=fake.grant()) as found:
        await found.shows("live")
        await found.shows("x.wav")
        found.type("\r")
        await found.shows("The last sentence.")
        found.type("\x1b")
        await found.shows("Upload")
        found.type("d")
        await found.shows("deleted for good")
        await found.leave("nq")
        assert_nothing_foreign(found.text)


async def test_a_progress_costs_a_slow_line_little(fake: FakeServer) -> None:
    """Over SSH each byte counts: only the changed cells are drawn, and nothing at all while nothing happens."""
    job = fake.add(state=JobState.RUNNING)
    for n in range(40):
        fake.add(file_name=f"{n}.wav")
    async with terminal(PROJECTW_SERVER=fake.url, PROJECTW_TOKEN=fake.grant()) as found:
        await found.shows("live")
        found.type("G")
        await found.shows("interview.wav")
        before = len(found.written)
        for percent in range(10, 30):
            fake.change(job.id, durable=False, progress=percent / 100)
            await found.shows(f"{percent}%")
        assert len(found.written) - before < 20 * 1500


async def test_commands_are_harmless_on_a_terminal_too(fake: FakeServer) -> None:
    for name in HOSTILE_NAMES:
        fake.add(file_name=name)
    done = fake.add(state=JobState.SUCCEEDED)
    fake.say(done.id, *HOSTILE_NAMES)
    environment = {"PROJECTW_SERVER": fake.url, "PROJECTW_TOKEN": fake.grant()}
    for command in (["jobs"], ["jobs", "--json"], ["show", done.id], ["transcript", done.id]):
        async with terminal(*command, **environment) as found:
            async with asyncio.timeout(20):
                assert await found.process.wait() == 0
            await found.shows("x.wav" if command[0] != "show" else "interview.wav")
            assert "\x1b" not in found.text
            assert_nothing_foreign(found.text)


async def test_the_list_of_jobs_takes_one_line_each_in_80_columns(fake: FakeServer) -> None:
    job = fake.add(file_name="a very long name of a recording of a very long seminar.wav")
    async with terminal("jobs", PROJECTW_SERVER=fake.url, PROJECTW_TOKEN=fake.grant()) as found:
        async with asyncio.timeout(20):
            assert await found.process.wait() == 0
        await found.shows("seminar.wav")
        (line,) = [line for line in found.text.splitlines() if "seminar.wav" in line]
        assert len(line) <= 80
        assert line.startswith(f"{job.id[-12:]}  ")


async def test_the_password_is_asked_for_and_not_shown(fake: FakeServer) -> None:
    from .fake_server import EMAIL, PASSWORD

    async with terminal("--server", fake.url, "login", EMAIL) as found:
        await found.shows("Password")
        found.type(PASSWORD + "\n")
        async with asyncio.timeout(20):
            assert await found.process.wait() == 0
        await found.shows("Signed in")
        assert PASSWORD not in found.text


async def test_ctrl_c_ends_a_question_at_once(fake: FakeServer) -> None:
    job = fake.add(file_name="keep.wav")
    async with terminal("delete", job.id, PROJECTW_SERVER=fake.url, PROJECTW_TOKEN=fake.grant()) as found:
        await found.shows("with its recording and its transcript? [y/N]: ")
        found.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await found.process.wait() == 130
    assert job.id in fake.jobs
