"""The main job, shown on this machine: a server, a runner, a person, and a recording that becomes text.

``python -m deploy.demo``: in a terminal it opens the full screen with the recording already submitted; with
``--print``, or without a terminal, it prints the transcript on stdout and what happens on stderr.
"""

import argparse
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from deploy.installation import Installation, environment
from deploy.programs import SCRIPTS, ProgramFailed
from deploy.recordings import Clip, RecordingsMissing, cache, joined, librivox, word_error_rate

EMAIL: Final = "ada@example.org"
MODEL: Final = "tiny.en"
MAX_WORD_ERROR_RATE: Final = 0.2
"""The smallest checkpoint mishears a name; what is far off is another recording, or none."""

INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Show it, and return the exit code: 0 when the words that came out are those that are read."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="The main job on real speech.")
    parser.add_argument("--print", action="store_true", dest="prints", help="print the text, open no screen")
    options = parser.parse_args(arguments)
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with tempfile.TemporaryDirectory(prefix="projectw-demo-") as folder:
            return Demo(Path(folder), on_screen=terminal and not options.prints).run()
    except (ProgramFailed, RecordingsMissing) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted, everything is stopped", file=sys.stderr)
        return INTERRUPTED


def _leave(number: int, _frame: Any) -> None:
    # Raised where the program stands, so that what was started is ended on the way out.
    sys.exit(128 + number)


class Demo:
    """One showing, in a folder that is empty before it and gone after it."""

    def __init__(self, folder: Path, *, on_screen: bool) -> None:
        self._folder = folder
        self._on_screen = on_screen
        self._began = time.monotonic()

    def run(self) -> int:
        """Prepare, show, and clean up whatever happens; return the exit code."""
        self._say(f"fetching the model {MODEL}, unless it is here")
        self._pull()
        recording = joined(librivox(cache()), self._folder / "sense-and-sensibility.wav")
        installation = Installation(self._folder)
        try:
            self._start(installation)
            return (self._show if self._on_screen else self._print)(installation, recording)
        finally:
            installation.close()

    def _pull(self) -> None:
        pulled = subprocess.run(  # noqa: S603  our own program
            [SCRIPTS / "projectw-runner", "models", "pull", MODEL],
            stdout=subprocess.DEVNULL,
            env=environment(),
            check=False,
        )
        if pulled.returncode:
            raise ProgramFailed(f"the model {MODEL} is missing, and without one nothing can be transcribed")

    def _start(self, installation: Installation) -> None:
        password = secrets.token_urlsafe(12)
        installation.add_user(EMAIL, password)
        token = installation.add_runner("demo-runner")
        installation.serve()
        self._say(f"the server listens on {installation.url}, as {EMAIL} with the password {password}")
        runner = installation.start_runner("demo-runner", token, default_model=MODEL)
        runner.wait_for(r"registered", timeout=120)
        self._say("the runner has registered and waits for a job")
        installation.must("projectw", "login", EMAIL, "--password-stdin", stdin=password)

    def _print(self, installation: Installation, recording: Clip) -> int:
        self._say(f"submitting {recording.path.name}: five sentences by Jane Austen, read by a volunteer")
        submission = installation.start_client(
            "submit", recording.path, "--wait", "--format", "txt", output=self._folder / "transcript.txt"
        )
        installation.watch(submission, timeout=300)
        heard = (self._folder / "transcript.txt").read_text("utf-8")
        self._say("the transcript:")
        print(heard.strip(), flush=True)
        return self._verdict(recording, heard)

    def _show(self, installation: Installation, recording: Clip) -> int:
        job = installation.must("projectw", "submit", recording.path).stdout.strip()
        subprocess.run(  # noqa: S603  our own program
            [SCRIPTS / "projectw", "--config", installation.client_config], env=environment(), check=False
        )
        heard = installation.command("projectw", "transcript", job, "--format", "txt")
        if heard.returncode:
            self._say("the screen was closed before there was a transcript")
            return 0
        print(heard.stdout.strip(), flush=True)
        return self._verdict(recording, heard.stdout)

    def _verdict(self, recording: Clip, heard: str) -> int:
        rate = word_error_rate(recording.text, heard)
        self._say(f"{rate:.0%} of the words differ from what was read")
        if rate > MAX_WORD_ERROR_RATE:
            print(
                f"demo: these are not the words of the recording, which are:\n{recording.text}",
                file=sys.stderr,
            )
            return 1
        return 0

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
