"""One of our programs as a process: started, waited for, read, and ended for certain."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

SCRIPTS: Final = Path(sys.executable).parent
"""Where the console scripts of this interpreter's environment lie."""

LOOK_SECONDS: Final = 0.02
TAIL_LINES: Final = 30
DEFERRED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProgramFailed(Exception):
    """A program ended, or did not do in time what was expected; the message ends with the tail of its output."""


class Program:
    """A running program with a process group of its own; what it says goes to the file ``log``.

    ``output`` takes stdout alone, for programs that give data. ``pin`` keeps it on one core (Linux).
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        pin: int | None = None,
    ) -> None:
        self.name = Path(arguments[0]).name
        self.log = log
        with log.open("ab") as talk, (output or log).open("ab") as data:
            self._begin = talk.tell()
            self._process = subprocess.Popen(  # noqa: S603  our own programs
                [str(word) for word in arguments],
                stdin=subprocess.DEVNULL,
                stdout=data,
                stderr=talk,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        if pin is not None:
            os.sched_setaffinity(self.pid, {pin})

    @property
    def pid(self) -> int:
        """The process id, also that of the group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """Return what this process has written so far."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def wait_for(self, pattern: str, *, timeout: float = 30.0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the output. Raises ProgramFailed."""
        return self.until(lambda: re.search(pattern, self.output()), f"say {pattern!r}", timeout=timeout)

    def until(self, look: Callable[[], T | None], what: str, *, timeout: float = 30.0) -> T:
        """Look until there is something other than None or False, while this program runs. Raises ProgramFailed."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.returncode
            found = look()
            if found is not None and found is not False:
                return found
            if ended is not None:
                raise ProgramFailed(self._report(f"ended with code {ended} and did not {what}"))
            if time.monotonic() > deadline:
                raise ProgramFailed(self._report(f"did not {what} within {timeout:g} s"))
            time.sleep(LOOK_SECONDS)

    def expect_running(self) -> None:
        """Raise ProgramFailed when it has ended."""
        if self.returncode is not None:
            raise ProgramFailed(self._report(f"ended with code {self.returncode}"))

    def wait(self, *, timeout: float = 30.0) -> int:
        """Return the exit code. Raises ProgramFailed when it does not end in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as expired:
            raise ProgramFailed(self._report(f"did not end within {timeout:g} s")) from expired

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone, as ``kill`` does."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the program with its group, as a loss of power would, and reap it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, *, grace: float = 10.0) -> int:
        """Ask it to end, kill what is left after ``grace`` seconds, and return the exit code."""
        if self.returncode is None:
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self.kill()
        return self._process.returncode

    def _report(self, what: str) -> str:
        lines = self.output().splitlines()[-TAIL_LINES:]
        return "\n".join([f"{self.name} {what}. It said last:", *(f"  {line}" for line in lines)])


def end_all(programs: Iterable[Program]) -> None:
    """End programs, the last of them when the others have ended; all of them also when this is interrupted."""
    rest = list(programs)
    try:
        for program in rest[:-1]:
            program.send(signal.SIGTERM)
        while rest:
            rest[0].stop()
            rest.pop(0)
    finally:
        for program in rest:
            program.kill()


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let signals that would raise wait for the end of the block: a child must not start without being noted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda which, _: came.append(which)) for number in DEFERRED}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for which in came:
            signal.raise_signal(which)
