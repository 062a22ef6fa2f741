"""Which box works here is found out by trying: it must decode, and it must keep what it promises."""

import os
import shutil
import socket
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Final, Literal

from projectw_runner.failures import JobFailure
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.confinement import Bubblewrap, Confinement, Kernel, Limits, Part, Protections
from projectw_runner.media.ffmpeg import Reading
from projectw_runner.media.limits import Bounds, MediaLimits
from projectw_runner.media.seccomp import filter_program
from projectw_shared.text import safe

Wanted = Literal["auto", "require", "limits"]

_TRIAL_SECONDS: Final = 30.0
_SAMPLES: Final = 800
_PCM_BYTES: Final = 3200
"""The tenth of a second at 8 kHz, as it comes out at 16 kHz in 16 bits."""

_REMEDIES: Final = {
    Part.CALLS: "no filter of system calls, which takes seccomp and a processor of x86-64 or arm64",
    Part.FILES: "no Landlock, which takes Linux 5.13 or newer with landlock among its security modules, or bubblewrap",
    Part.NETWORK: "no network namespace, which takes user namespaces",
    Part.USER: "not as nobody, which takes an ffmpeg of version 6 or newer that every user may read",
}


def find_confinement(ffmpeg: Path, wanted: Wanted = "auto") -> Confinement:
    """Return the strictest box in which ``ffmpeg`` decodes a test sound, and out of which it does not get.

    bubblewrap if it works, else what the kernel has, else limits alone; with ``limits`` those at once. ``require``
    raises ``JobFailure`` with the code ``decoder-unconfined`` when files or network would stay open. Blocks for
    about 0.2 s. Raises ``JobFailure`` too when ffmpeg works nowhere.
    """
    with tempfile.TemporaryDirectory(prefix="projectw-trial-") as folder:
        trial = _Trial(ffmpeg, Path(folder))
        open_air = _open_air(trial)
        if wanted == "limits":
            return Limits(open_air.reading, ("a box, which the setting confinement does without",))
        found = _best(trial, open_air.reading)
    if wanted == "require" and not found.protections.is_whole:
        raise JobFailure("decoder-unconfined", found.protections.sentence(), retryable=True)
    return found


def boxes(ffmpeg: Path) -> dict[str, Confinement]:
    """Return every box that works here by a name for people, the strictest first, for tests and measurements."""
    with tempfile.TemporaryDirectory(prefix="projectw-trial-") as folder:
        trial = _Trial(ffmpeg, Path(folder))
        plain = _open_air(trial)
        reading = plain.reading
        found: dict[str, Confinement] = {}
        if (box := _bubblewrap(trial, reading)) and not isinstance(box, str):
            found["bubblewrap"] = box
        whole = _kernel(trial, reading)
        found["kernel"] = whole
        for part in (Part.FILES, Part.CALLS):
            if part in whole.parts:
                found[f"{part.value} alone"] = Kernel(reading, frozenset({part}))
        found["limits alone"] = plain
        return found


def _open_air(trial: "_Trial") -> Limits:
    complaints = []
    for reading in Reading:
        plain = Limits(reading)
        if (complaint := trial.decode(plain)) is None:
            return plain
        complaints.append(complaint)
    raise JobFailure(
        "decoder-broken",
        f"The ffmpeg of this runner, {trial.ffmpeg}, could not decode a test sound: {complaints[-1]}",
        retryable=True,
    )


def _best(trial: "_Trial", reading: Reading) -> Confinement:
    box = _bubblewrap(trial, reading)
    if not isinstance(box, str):
        return box
    kernel = _kernel(trial, reading)
    if kernel.protections.is_whole:
        return kernel
    missing = (*kernel.missing, box)
    return Kernel(reading, kernel.parts, missing) if kernel.parts else Limits(reading, missing)


def _bubblewrap(trial: "_Trial", reading: Reading) -> Bubblewrap | str:
    """Return the box, or why there is none."""
    found = shutil.which("bwrap")
    if found is None:
        return "bubblewrap is not installed"
    for as_nobody in (True, False) if _is_root() else (False,):
        box = Bubblewrap(reading, Path(found), as_nobody)
        if (complaint := trial.complaint(box)) is None:
            return box
    return f"bubblewrap ({found}) does not work here, mostly for lack of user namespaces: {complaint}"


def _is_root() -> bool:
    return os.geteuid() == 0


def _kernel(trial: "_Trial", reading: Reading) -> Kernel:
    """Return a box of as many parts as work, together at best, else one after the other."""
    parts = [Part.FILES, Part.NETWORK]
    if filter_program() is not None:
        parts.insert(0, Part.CALLS)
    if _is_root():
        parts.append(Part.USER)
    whole = Kernel(reading, frozenset(parts))
    if trial.complaint(whole) is None:
        return whole
    kept: frozenset[Part] = frozenset()
    missing = []
    for part in parts:
        if (complaint := trial.complaint(Kernel(reading, kept | {part}))) is None:
            kept |= {part}
        else:
            missing.append(f"{_REMEDIES[part]} ({complaint})")
    return Kernel(reading, kept, tuple(missing))


class _Trial:
    """A sound to decode, another that must stay closed, and a port that nobody may knock at."""

    def __init__(self, ffmpeg: Path, folder: Path) -> None:
        self.ffmpeg = ffmpeg
        self._sound = folder / "sound.wav"
        self._foreign = folder / "foreign.wav"
        for path in (self._sound, self._foreign):
            with wave.open(str(path), "wb") as writer:
                writer.setparams((1, 2, 8000, 0, "NONE", ""))
                writer.writeframes(bytes(2 * _SAMPLES))
            path.chmod(0o600)

    def complaint(self, box: Confinement) -> str | None:
        """Return why ``box`` is not to be had here, None when it works and holds."""
        return self.decode(box) or self._hole(box)

    def decode(self, box: Confinement) -> str | None:
        """Return what went wrong with the sound, as one short line, or None."""
        limits = MediaLimits()
        try:
            done = self._run(box, tool.decoding(box.reading, limits))
        except (OSError, subprocess.TimeoutExpired) as problem:
            return _one_line(str(problem))
        if done.returncode == 0 and len(done.stdout) == _PCM_BYTES:
            return None
        return _one_line(done.stderr.decode(errors="replace")) or f"it ended with status {done.returncode}"

    def _hole(self, box: Confinement) -> str | None:
        promised = box.protections
        try:
            return self._first_hole(box, promised)
        except (OSError, subprocess.TimeoutExpired) as problem:
            return _one_line(str(problem))

    def _first_hole(self, box: Confinement, promised: Protections) -> str | None:
        if promised.files and self._run(box, _reach("file", f"file:{self._foreign}")).stdout:
            return "another file could be read in it"
        if promised.network and self._knocks(box):
            return "a connection could be made from it"
        return None

    def _knocks(self, box: Confinement) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            self._run(box, _reach("tcp", f"tcp://127.0.0.1:{listener.getsockname()[1]}?timeout=1000000"))
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return False
            return True

    def _run(self, box: Confinement, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
        limits = MediaLimits()
        bounds = Bounds(limits.max_memory_bytes, 10)
        with self._sound.open("rb") as sound:
            return subprocess.run(  # noqa: S603  the words are ours
                box.command(self.ffmpeg, arguments, bounds),
                env=tool.environment(),
                stdin=sound,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
            )


def _reach(protocol: str, name: str) -> list[str]:
    """Return arguments that try what an evil file may bring ffmpeg to, without our lists in the way."""
    return [
        "-nostdin",
        "-loglevel",
        "fatal",
        "-protocol_whitelist",
        protocol,
        "-i",
        name,
        "-f",
        "s16le",
        "pipe:1",
    ]


def _one_line(text: str) -> str:
    return safe((text.strip().splitlines() or [""])[-1])[:200]
