"""What the demonstration and the journeys stand on: programs that end for certain, and words that are compared."""

import signal
import time
import wave
from pathlib import Path

import pytest

from deploy import postgres
from deploy.programs import Program, ProgramFailed, end_all, signals_deferred
from deploy.recordings import Clip, joined, word_error_rate


def shell(script: str, folder: Path) -> Program:
    return Program(["/bin/sh", "-c", script], folder / "log")


def test_a_program_that_ends_too_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    program = shell("echo it is broken >&2; exit 3", tmp_path)
    with pytest.raises(
        ProgramFailed, match=r"(?s)sh ended with code 3 and did not say 'ready'.*  it is broken"
    ):
        program.wait_for("ready")


def test_a_program_that_takes_too_long_is_reported(tmp_path: Path) -> None:
    program = shell("echo begun; sleep 60", tmp_path)
    program.wait_for("begun")
    with pytest.raises(ProgramFailed, match=r"did not say 'ready' within 0.1 s"):
        program.wait_for("ready", timeout=0.1)
    with pytest.raises(ProgramFailed, match="did not end"):
        program.wait(timeout=0.1)
    program.kill()
    with pytest.raises(ProgramFailed, match="ended with code -9"):
        program.expect_running()


def test_stopping_kills_what_does_not_listen_and_its_children_too(tmp_path: Path) -> None:
    program = shell("trap '' TERM; sleep 77 & echo child $!; wait; sleep 77", tmp_path)
    child = int(program.wait_for(r"child (\d+)")[1])
    assert program.stop(grace=0.2) == -signal.SIGKILL
    # Killed with it, but perhaps a moment later.
    deadline = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_all_programs_are_ended_also_when_one_has_ended_before(tmp_path: Path) -> None:
    first, second = shell("exit 0", tmp_path), shell("sleep 60", tmp_path)
    first.wait()
    end_all([first, second])
    assert (first.returncode, second.returncode) == (0, -signal.SIGTERM)


def test_a_signal_waits_until_what_has_started_is_noted() -> None:
    noted = []
    with pytest.raises(KeyboardInterrupt), signals_deferred():
        signal.raise_signal(signal.SIGINT)
        noted.append("started")
    assert noted == ["started"]


def test_only_what_this_start_of_a_program_has_said_is_read(tmp_path: Path) -> None:
    shell("echo ready", tmp_path).wait()
    with pytest.raises(ProgramFailed):
        shell("echo nothing", tmp_path).wait_for("ready")


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        ("Mr. Dashwood had leisure,", 0.0),
        ("mister Dashwood had", 0.25),
        ("mister Dashwood had no leisure", 0.25),
        ("mister Dashwood had measure", 0.25),
        ("", 1.0),
    ],
)
def test_the_word_error_rate_counts_edits_and_no_punctuation(heard: str, rate: float) -> None:
    assert word_error_rate("mister dashwood had leisure", heard) == rate


def test_joined_clips_follow_each_other(tmp_path: Path) -> None:
    clips = []
    for number in (1, 2):
        path = tmp_path / f"{number}.wav"
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes([number, 0]) * 80)
        clips.append(Clip(path, f"clip {number}"))
    whole = joined(clips, tmp_path / "whole.wav")
    with wave.open(str(whole.path)) as sound:
        assert sound.readframes(1000) == b"\x01\x00" * 80 + b"\x02\x00" * 80
    assert whole.text == "clip 1 clip 2"


def test_a_postgres_of_ones_own_needs_none_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_installed", lambda: None)
    server = postgres.Postgres()
    try:
        server.create("one")
        server.say("CREATE TABLE things (id INT)", database="one")
        server.stop()
        server.start()
        server.say("SELECT id FROM things", database="one")
    finally:
        server.close()
