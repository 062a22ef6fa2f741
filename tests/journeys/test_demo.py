"""The demonstration, as somebody who has just cloned the project runs it."""

import signal
import sys
from pathlib import Path

import pytest

from deploy.programs import Program
from deploy.recordings import Clip, word_error_rate

pytestmark = [pytest.mark.journey, pytest.mark.model]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path, tiny_en: str, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return Program(
        [sys.executable, "-m", "deploy.demo", "--print"], tmp_path / "demo.log", output=tmp_path / "words.txt"
    )


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that have to do with ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_the_demonstration_prints_the_words_of_the_recording_and_leaves_nothing_behind(
    demo: Program, tmp_path: Path, speech: Clip
) -> None:
    assert demo.wait(timeout=110) == 0, demo.output()
    assert word_error_rate(speech.text, (tmp_path / "words.txt").read_text()) < 0.1
    assert "listens on http://127.0.0.1:" in demo.output()
    assert not list(tmp_path.glob("projectw-demo-*"))
    assert not processes_in(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demonstration_ends_its_programs(
    demo: Program, tmp_path: Path, speech: Clip, number: signal.Signals, code: int
) -> None:
    demo.wait_for("the server listens", timeout=60)
    assert processes_in(tmp_path)
    demo.send(number)
    assert demo.wait(timeout=30) == code, demo.output()
    assert not processes_in(tmp_path)
    assert not list(tmp_path.glob("projectw-demo-*"))


def test_the_demonstration_shows_what_a_program_said_that_ended(
    demo: Program, tmp_path: Path, speech: Clip
) -> None:
    demo.wait_for("the server listens", timeout=60)
    (folder,) = tmp_path.glob("projectw-demo-*")
    (server,) = [
        int(process.parent.name)
        for process in Path("/proc").glob("[0-9]*/cmdline")
        if f"{folder}/server.yaml\0serve".encode() in process.read_bytes()
    ]
    Program(["kill", "-KILL", str(server)], tmp_path / "kill.log").wait()
    assert demo.wait(timeout=110) == 1, demo.output()
    assert "projectw" in demo.output()
    assert "said last" in demo.output() or "cannot be reached" in demo.output()
    assert not processes_in(tmp_path)
