"""A child process whose output is read with bounds, and which ends for certain."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
from typing import Final

_PIPE_BYTES: Final = 1 << 20
"""32 s of samples, so that the child goes on while its reader waits for its turn."""

_KEPT_OF_STDERR: Final = 16_384


class Stalled(Exception):
    """The child computed for too long without writing anything, or complained without end."""


class Process:
    """A child in a session of its own. Its reader may be in another thread than the one that kills it.

    ``stdin`` is a descriptor, which the caller closes; ``most_said`` bounds the bytes on standard error.
    Start it from a thread that lasts: the kernel ends the child together with the thread that made it.
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
        most_said: int | None = None,
    ) -> None:
        self._child = subprocess.Popen(  # noqa: S603  the words are ours
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._out = self._child.stdout.fileno()
        self._err = self._child.stderr.fileno()
        with contextlib.suppress(OSError):  # a user's pipes may be bounded by the system
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._open = {self._out, self._err}
        self._said = b""
        self._heard = 0
        self._most_said = most_said

    @property
    def said(self) -> str:
        """The first part of what the child wrote to standard error. It quotes the file: never show it."""
        return self._said.decode(errors="replace")

    def read(self, most: int, patience: float) -> bytes:
        """Return up to ``most`` bytes of standard output, none at its end. Raises ``Stalled``."""
        while self._out in self._open:
            ready = self._poll.poll(patience * 1000)
            if not ready:
                raise Stalled
            if self._err in self._open and any(fd == self._err for fd, _ in ready):
                self._listen()
            if any(fd == self._out for fd, _ in ready):
                piece = os.read(self._out, most)
                if not piece:
                    self._forget(self._out)
                return piece
        return b""

    def finish(self, patience: float) -> int:
        """Wait for the end after the last byte; return the exit status, negative for a signal."""
        while self._err in self._open:
            if not self._poll.poll(patience * 1000):
                raise Stalled
            self._listen()
        try:
            return self._child.wait(patience)
        except subprocess.TimeoutExpired as late:
            raise Stalled from late

    def kill(self) -> None:
        """End the child and all that it has started, at once. A reader in another thread wakes up."""
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def release(self) -> None:
        """Reap the killed child and close its pipes. Nobody may be reading."""
        self._child.wait()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        heard = os.read(self._err, 65_536)
        if not heard:
            self._forget(self._err)
        self._said += heard[: _KEPT_OF_STDERR - len(self._said)]
        self._heard += len(heard)
        if self._most_said is not None and self._heard > self._most_said:
            raise Stalled

    def _forget(self, pipe: int) -> None:
        self._poll.unregister(pipe)
        self._open.discard(pipe)
