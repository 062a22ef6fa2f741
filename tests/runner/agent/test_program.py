"""The real program: its signals, its exit codes, and what it decodes."""

import asyncio
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from .fake_server import TOKEN, FakeJob, FakeServer

SECONDS = 60
Program = asyncio.subprocess.Process
Start = Callable[..., Awaitable[Program]]


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("audio") / "hum.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(SECONDS * 32_000))
    return path.read_bytes()


@pytest.fixture
async def start(server: FakeServer, tmp_path: Path) -> AsyncIterator[Start]:
    """Start ``projectw-runner run`` with the fake engine at ``speed`` seconds of audio a second."""
    programs: list[Program] = []

    async def run(*, speed: float | None = None, token: str = TOKEN, more: str = "") -> Program:
        secret = tmp_path / "token"
        secret.write_text(token + "\n")
        secret.chmod(0o600)
        config = tmp_path / "config.yaml"
        config.write_text(
            f"runner:\n  server_url: {server.url}\n  token_file: token\n  engine: fake\n"
            f"  work_dir: work\n  fake_speed: {speed or 'null'}\n  log_format: json\n{more}"
        )
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "projectw_runner", "--config", str(config), "run"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        programs.append(program)
        return program

    yield run
    for program in programs:
        if program.returncode is None:
            program.kill()
        await program.communicate()


async def ended(program: Program) -> tuple[int | None, str]:
    out, said = await asyncio.wait_for(program.communicate(), 30)
    assert out == b""
    return program.returncode, said.decode()


async def test_a_recording_goes_through_ffmpeg_and_engine_to_the_server(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio, file_name="a\x1b[31mb.wav"))
    program = await start()
    await server.until(lambda: bool(job.results))
    assert [each.id for each in job.segments] == list(range(12))
    assert (job.results[0].next, job.results[0].duration) == (12, SECONDS)
    program.send_signal(signal.SIGTERM)
    code, said = await ended(program)
    assert code == 0
    assert TOKEN not in said
    assert job.segments[0].text.strip() not in said
    assert "\x1b" not in said
    assert list((tmp_path / "work" / "jobs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_mid_job_hands_it_back_with_its_segments(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path, number: signal.Signals
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=20)
    await server.until(lambda: len(job.segments) >= 2)
    program.send_signal(number)
    code, _ = await ended(program)
    assert code == 0
    assert (job.hand_backs, job.results) == (1, [])
    assert 2 <= len(job.segments) < 12
    assert job.resume_at == job.segments[-1].end
    assert server.unregistered == server.sessions
    assert list((tmp_path / "work" / "jobs").iterdir()) == []

    await start()
    await server.until(lambda: bool(job.results))
    assert [each.id for each in job.segments] == list(range(12))
    assert [each.start for each in job.segments] == [number * 5.0 for number in range(12)]


async def test_a_second_signal_ends_it_at_once(server: FakeServer, start: Start, audio: bytes) -> None:
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=0.1)
    await server.until(lambda: server.seen["audio"] > 0 and job.held_by is not None)
    program.send_signal(signal.SIGTERM)
    await heard(program, b"asked to stop")
    program.send_signal(signal.SIGTERM)
    code, _ = await ended(program)
    assert code == 128 + signal.SIGTERM


async def test_a_crash_on_purpose_says_no_good_bye(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=20, more="  fake_faults: [{fault: crash, at: end}]\n")
    code, said = await ended(program)
    assert code == -signal.SIGKILL
    assert "a fault on purpose" in said
    assert (job.hand_backs, job.results) == (0, [])


async def test_a_batch_that_lasts_does_not_keep_the_program_from_leaving(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    server.heartbeat_seconds = 0.2
    program = await start(speed=0.02)
    # The length is known once the recording is open, and a round of the heartbeat later the batch has begun.
    await server.until(lambda: job.duration is not None)
    beats = server.seen["status"]
    await server.until(lambda: server.seen["status"] > beats)
    program.send_signal(signal.SIGTERM)
    code, _ = await ended(program)
    assert code == 0
    assert job.hand_backs == 1
    assert list((tmp_path / "work" / "jobs").iterdir()) == []


async def test_a_killed_runner_leaves_a_recording_that_the_next_start_removes(
    server: FakeServer, start: Start, audio: bytes, tmp_path: Path
) -> None:
    job = await server.submit(FakeJob(audio=audio))
    program = await start(speed=20)
    await server.until(lambda: len(job.segments) >= 2)
    program.kill()
    await ended(program)
    assert len(list((tmp_path / "work" / "jobs").iterdir())) == 1

    # Its registration takes over, and with it the job, from the last segment that was stored.
    await start()
    await server.until(lambda: bool(job.results))
    assert [each.start for each in job.segments] == [number * 5.0 for number in range(12)]
    await server.until(lambda: list((tmp_path / "work" / "jobs").iterdir()) == [])


async def test_a_file_that_is_no_recording_fails_its_job_with_a_sentence(
    server: FakeServer, start: Start
) -> None:
    job = await server.submit(FakeJob(audio=b"#EXTM3U\nfile:///etc/passwd\n" * 100))
    await start()
    await server.until(lambda: bool(job.results))
    error = job.results[0].error
    assert error is not None
    assert error.code == "unsupported-media"


async def test_a_refused_token_ends_it_with_77_and_the_remedy(server: FakeServer, start: Start) -> None:
    code, said = await ended(await start(token="pwr_wrong"))
    assert code == 77
    assert "projectw-server runner add" in said
    assert "pwr_wrong" not in said


async def test_a_second_runner_with_its_token_ends_the_first(server: FakeServer, start: Start) -> None:
    first = await start()
    await server.until(lambda: server.seen["idle"] > 0)
    await start()
    code, said = await ended(first)
    assert code == 77
    assert "taken over" in said


async def heard(program: Program, words: bytes) -> None:
    assert program.stderr is not None
    async with asyncio.timeout(20):
        while words not in await program.stderr.readline():
            pass
