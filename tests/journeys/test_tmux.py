"""The full screen for once in a real terminal: keys go in through tmux, and what it shows is read."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.installation import environment
from deploy.programs import SCRIPTS
from projectw_shared.jobs import JobState
from tests.journeys.world import EMAIL, PASSWORD, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Terminal:
    """A terminal of 80 by 24 that a program runs in."""

    def __init__(self, socket: Path, *command: str | Path) -> None:
        self._socket = socket
        self._tmux("new-session", "-d", "-x", "80", "-y", "24", *map(str, command))

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type ``text`` as it stands."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """Return what the screen shows."""
        return self._tmux("capture-pane", "-p")

    def line_of_cursor(self) -> str:
        """Return the line in which what is typed would appear."""
        row = int(self._tmux("display-message", "-p", "#{cursor_y}"))
        return self.screen().split("\n")[row]

    def is_there(self) -> bool:
        """Tell whether the program still runs."""
        return subprocess.run(self._words("has-session"), capture_output=True).returncode == 0

    def close(self) -> None:
        """End the program and its terminal."""
        subprocess.run(self._words("kill-server"), capture_output=True)

    def _words(self, *words: str) -> list[str]:
        return ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            self._words(*words),
            capture_output=True,
            text=True,
            env=environment() | {"TERM": "xterm-256color"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def open_terminal(world: World, tmp_path: Path) -> Iterator[Callable[[], Terminal]]:
    opened: list[Terminal] = []

    def open_it() -> Terminal:
        config = world.installation.client_config
        opened.append(Terminal(tmp_path / "tmux", SCRIPTS / "projectw", "--config", config))
        return opened[-1]

    yield open_it
    for terminal in opened:
        if terminal.is_there():
            print("--- screen", terminal.screen(), sep="\n")
        terminal.close()


def test_a_person_signs_in_sees_the_job_and_reads_its_transcript(
    world: World, minute: Path, open_terminal: Callable[[], Terminal]
) -> None:
    world.start_runner()
    job = world.submit(minute, name="an interview.wav")
    assert world.until_over(job.id).state is JobState.SUCCEEDED
    terminal = open_terminal()

    def until_shown(text: str) -> None:
        world.until(lambda: text in terminal.screen(), f"the screen shows {text!r}")

    def until_at(label: str) -> None:
        world.until(lambda: label in terminal.line_of_cursor(), f"{label} has the cursor")

    until_shown("Quit")
    until_at("E-mail")
    terminal.type(EMAIL)
    until_shown(EMAIL)
    terminal.press("Tab")
    until_at("Password")
    terminal.type(PASSWORD)
    until_shown("•" * len(PASSWORD))
    terminal.press("Enter")
    until_shown("an interview.wav")
    assert PASSWORD not in terminal.screen()
    terminal.press("Enter")
    until_shown("This text was not spoken.")
    terminal.press("Escape")
    until_shown("an interview.wav")

    terminal.press("C-q")
    world.until(lambda: not terminal.is_there(), "the program has ended")
