"""A whole installation in one folder: a server, its accounts, runners, and a person's terminal."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.programs import SCRIPTS, Program, ProgramFailed, end_all, signals_deferred

CONFIGURATION = ("PROJECTW_", "XDG_CONFIG")
"""Variables of the surroundings that would change what the programs do here."""


class Installation:
    """The programs of this environment, configured to live in ``folder`` and nowhere else.

    Checkpoints alone are shared with the user: they come from the user's cache unless a runner is told otherwise.
    """

    def __init__(self, folder: Path, *, server: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.url = ""
        self.programs: list[Program] = []
        self._port = 0
        settings = {"data_dir": str(folder / "data"), "host": "127.0.0.1", "min_free_bytes": 0}
        self.server_config = self._write("server.yaml", {"server": {**settings, **(server or {})}})
        self.client_config = folder / "tui.yaml"

    def add_user(self, email: str, password: str, *, admin: bool = False) -> None:
        """Make an account."""
        flags = ["--admin"] if admin else []
        self.must("projectw-server", "user", "add", email, *flags, "--password-stdin", stdin=password)

    def add_runner(self, name: str) -> str:
        """Return the token of a new runner."""
        return self.must("projectw-server", "runner", "add", name).stdout.strip()

    def serve(self, *, pin: int | None = None) -> Program:
        """Start the server and return when it answers; after the first time on the same port as before."""
        program = self._start(
            [SCRIPTS / "projectw-server", "--config", self.server_config, "serve", "--port", str(self._port)],
            "server.log",
            pin=pin,
        )
        found = program.wait_for(r"listening on (https?://\S+:(\d+))")
        self._port = int(found[2])
        self.use_server(found[1])
        return program

    def use_server(self, url: str) -> None:
        """Let runners and clients that start from now on call the server at ``url``."""
        self.url = url
        state = {"state_dir": str(self.folder / "session"), "use_keyring": False}
        self._write(self.client_config.name, {"tui": {"server_url": self.url, **state}})

    def start_runner(self, name: str, token: str, **settings: Any) -> Program:
        """Start a runner; ``settings`` are those of the ``runner:`` section."""
        ours = {"server_url": self.url, "token": token, "name": name, "work_dir": str(self.folder / name)}
        config = self._write(f"{name}.yaml", {"runner": {**ours, **settings}})
        return self._start([SCRIPTS / "projectw-runner", "--config", config, "run"], f"{name}.log")

    def client(
        self, *arguments: str | Path, stdin: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a ``projectw`` command to its end and return what it said; whatever its exit code."""
        return self.command("projectw", *arguments, stdin=stdin, timeout=timeout)

    def start_client(self, *arguments: str | Path, output: Path | None = None) -> Program:
        """Start a ``projectw`` command that goes on for a while; ``output`` takes its stdout."""
        words = [SCRIPTS / "projectw", "--config", self.client_config, *arguments]
        return self._start(words, "client.log", output=output)

    def watch(self, command: Program, *, timeout: float) -> None:
        """Return when ``command`` has done its work. Raises ProgramFailed, also when a program that it needs ends."""

        def look() -> bool:
            for program in self.programs:
                if program is not command:
                    program.expect_running()
            return command.returncode == 0

        command.until(look, "do its work", timeout=timeout)

    def command(
        self, program: str, *arguments: str | Path, stdin: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the programs to its end, with the configuration of its kind."""
        config = self.client_config if program == "projectw" else self.server_config
        return subprocess.run(  # noqa: S603  our own programs
            [SCRIPTS / program, "--config", config, *arguments],
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(),
            start_new_session=True,
            check=False,
        )

    def must(self, program: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of the programs to its end. Raises ProgramFailed when that is not a good one."""
        done = self.command(program, *arguments, stdin=stdin)
        if done.returncode:
            raise ProgramFailed(
                f"{program} {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}"
            )
        return done

    def close(self) -> None:
        """End everything: runners first, so that they can take their leave."""
        end_all(reversed(self.programs))

    def _start(
        self, words: Sequence[str | Path], log: str, *, output: Path | None = None, pin: int | None = None
    ) -> Program:
        with signals_deferred():
            program = Program(words, self.folder / log, environment=environment(), output=output, pin=pin)
            self.programs.append(program)
        return program

    def _write(self, name: str, document: Mapping[str, Any]) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)  # it may hold a token
        path.write_text(json.dumps(document))  # JSON is YAML
        return path


def environment() -> dict[str, str]:
    """Return the surroundings without what would configure our programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(CONFIGURATION)}
