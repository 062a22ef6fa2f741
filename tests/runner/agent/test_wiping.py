"""Of a recording and its transcript nothing is left on a runner's machine, however the runner ended."""

import asyncio
import os
import signal
import stat
import struct
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from projectw_runner.engines.fake import SENTENCES
from tests.leftovers import paths_with

from .fake_server import TOKEN, FakeJob, FakeServer

MARKER = b"said-in-confidence-7f3a"
SECONDS = 60

Program = asyncio.subprocess.Process
Start = Callable[..., Awaitable[Program]]


@pytest.fixture
def audio(tmp_path: Path) -> bytes:
    """A recording with the marker as its title and, again and again, among its samples."""
    path = tmp_path / "marked.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((MARKER + b"\0" * 3_177) * (SECONDS * 10))
    data = path.read_bytes()
    path.unlink()
    title = MARKER.ljust(24, b"\0")
    return (
        data
        + b"LIST"
        + struct.pack("<I", 12 + len(title))
        + b"INFOINAM"
        + struct.pack("<I", len(title))
        + title
    )


@pytest.fixture
async def start(server: FakeServer, tmp_path: Path) -> AsyncIterator[Start]:
    """Start the real program, all of whose folders and words lie under one that can be searched."""
    programs: list[Program] = []

    async def run(*, speed: float | None = None) -> Program:
        home = tmp_path / "home"
        for folder in (home, home / "tmp"):
            folder.mkdir(exist_ok=True)
        (home / "token").write_text(TOKEN)
        (home / "token").chmod(0o600)
        (home / "config.yaml").write_text(
            f"runner:\n  server_url: {server.url}\n  token_file: token\n  engine: fake\n  work_dir: work\n"
            f"  fake_speed: {speed or 'null'}\n  log_level: debug\n"
        )
        with (home / f"log{len(programs)}").open("wb") as log:
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "projectw_runner", "--config", str(home / "config.yaml"), "run"),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env={
                    **os.environ,
                    "HOME": str(home),
                    "TMPDIR": str(home / "tmp"),
                    "XDG_STATE_HOME": str(home),
                },
            )
        programs.append(program)
        return program

    yield run
    for program in programs:
        if program.returncode is None:
            program.kill()
        await program.wait()


TRANSCRIPT = tuple(sentence.encode() for sentence in SENTENCES)


async def until_gone(home: Path) -> None:
    async with asyncio.timeout(30):
        while paths_with(home, MARKER, *TRANSCRIPT):
            await asyncio.sleep(0.05)


async def test_while_at_work_the_recording_is_for_its_user_alone_and_afterwards_gone(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=20)
    await server.until(lambda: len(job.segments) >= 2)
    (held,) = paths_with(tmp_path / "home", MARKER)
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    for folder in (held.parent, held.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await server.until(lambda: bool(job.results))
    await until_gone(tmp_path / "home")
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    assert not paths_with(tmp_path / "home", MARKER, *TRANSCRIPT)


@pytest.mark.parametrize("killed_after", [1, 5])
async def test_what_a_killed_runner_left_is_gone_after_the_next_start(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path, killed_after: int
) -> None:
    home = tmp_path / "home"
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=20)
    await server.until(lambda: len(job.segments) >= killed_after)
    program.kill()
    await program.wait()
    assert paths_with(home, MARKER)
    server.jobs.clear()  # deleted meanwhile: nobody asks for it again
    await start()
    await until_gone(home)


async def test_a_runner_at_work_keeps_its_recording_when_another_starts_beside_it(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    await start(speed=20)
    await server.until(lambda: len(job.segments) >= 2)
    wiping = "import sys; from pathlib import Path; from projectw_runner.scratch import Scratch; "
    wiping += "print(Scratch(Path(sys.argv[1])).wipe())"
    jobs = tmp_path / "home" / "work" / "jobs"
    done = subprocess.run(
        [sys.executable, "-c", wiping, str(jobs)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
    await server.until(lambda: bool(job.results))
    assert job.results[0].error is None


async def test_a_recording_that_is_refused_leaves_nothing(
    server: FakeServer, start: Start, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=b"#EXTM3U\n" + MARKER * 100))
    await start()
    await server.until(lambda: bool(job.results))
    error = job.results[0].error
    assert error is not None
    assert (error.code, error.retryable) == ("unsupported-media", False)
    assert str(tmp_path) not in error.message
    await until_gone(tmp_path / "home")
