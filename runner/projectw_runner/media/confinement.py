"""The box in which ffmpeg meets a stranger's file."""

import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from projectw_runner.failures import JobFailure
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.limits import MediaLimits, limited

INSIDE: Final = "/recording"
"""The only name that the recording has inside the box, so that no extension sways ffmpeg."""

_LIBRARIES: Final = ("/usr", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")

_TRIAL_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Confinement:
    """How ffmpeg is shut in: by bubblewrap when there is one that works, by limits alone otherwise.

    ``reason`` says why there is no box, and how to get one.
    """

    bubblewrap: Path | None
    reason: str = ""

    def sentence(self) -> str:
        """Say for people how recordings are decoded here."""
        if self.bubblewrap is not None:
            return (
                f"ffmpeg runs in a box made by {self.bubblewrap}: it sees the one recording, read-only, and no "
                "network; its memory and time are limited."
            )
        return f"ffmpeg runs with limits on memory and time, but outside any box: {self.reason}"

    def command(self, ffmpeg: Path, recording: Path) -> tuple[list[str], str]:
        """Return the words before ffmpeg's own arguments, and the name that the recording has for it."""
        if self.bubblewrap is None:
            return [str(ffmpeg)], str(recording.absolute())
        real = ffmpeg.resolve()
        return [
            str(self.bubblewrap),
            *("--unshare-all", "--die-with-parent", "--cap-drop", "ALL"),
            *_library_binds(),
            *("--ro-bind", str(real), str(real), "--ro-bind", str(recording.absolute()), INSIDE),
            *("--chdir", "/", str(real)),
        ], INSIDE


def find_confinement(ffmpeg: Path) -> Confinement:
    """Return the strictest box in which ``ffmpeg`` decodes a test sound. Blocks for about 0.1 s.

    A bubblewrap that is installed but not permitted, as in most containers, is found out by trying. Raises
    ``JobFailure`` when ffmpeg does not work outside a box either.
    """
    open_air = Confinement(None)
    if complaint := _trial(ffmpeg, open_air):
        raise JobFailure(
            "decoder-broken",
            f"The ffmpeg of this runner, {ffmpeg}, could not decode a test sound: {complaint}",
            retryable=True,
        )
    found = shutil.which("bwrap")
    if found is None:
        return Confinement(None, "bubblewrap is not installed; install the package bubblewrap for a box.")
    boxed = Confinement(Path(found))
    if complaint := _trial(ffmpeg, boxed):
        return Confinement(
            None,
            f"bubblewrap ({found}) does not work here: {complaint}. It needs user namespaces, which some "
            "containers and kernels forbid.",
        )
    return boxed


def _library_binds() -> list[str]:
    binds = []
    for name in map(Path, _LIBRARIES):
        if name.is_symlink():
            binds += ["--symlink", str(name.readlink()), str(name)]
        else:
            binds += ["--ro-bind-try", str(name), str(name)]
    return binds


def _trial(ffmpeg: Path, confinement: Confinement) -> str | None:
    """Decode a tenth of a second of silence; return what went wrong, as one short line, or None."""
    limits = MediaLimits()
    with tempfile.TemporaryDirectory(prefix="projectw-trial-") as folder:
        sound = Path(folder) / "sound.wav"
        with wave.open(str(sound), "wb") as writer:
            writer.setparams((1, 2, 8000, 0, "NONE", ""))
            writer.writeframes(bytes(1600))
        prefix, name = confinement.command(ffmpeg, sound)
        try:
            done = subprocess.run(  # noqa: S603  the words are ours
                limited([*prefix, *tool.decoding(name, limits)], limits),
                env=tool.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            return _one_line(str(problem))
    if done.returncode == 0 and len(done.stdout) == 3200:
        return None
    return _one_line(done.stderr.decode(errors="replace")) or f"it ended with status {done.returncode}"


def _one_line(text: str) -> str:
    last = (text.strip().splitlines() or [""])[-1]
    return "".join(letter for letter in last if letter.isprintable())[:200]
