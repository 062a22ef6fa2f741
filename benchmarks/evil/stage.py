"""Where evil files are tried: a folder with somebody else's recordings, a port that nobody may knock at."""

import io
import math
import struct
import subprocess
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from socket import create_server, socket
from typing import Final, Literal

OWN_HERTZ: Final = 440
FOREIGN_HERTZ: Final = 3_000
"""The victim's tone; a file of our own never holds it."""

CANARY: Final = b"<<a stranger's words>> "
"""What the victim's text is made of; as samples of 16 bits it would be noise with these very bytes."""

RATE: Final = 16_000


def tone(hertz: int, seconds: float, rate: int = RATE) -> bytes:
    """Return samples of 16 bits, mono."""
    count = int(seconds * rate)
    return b"".join(
        struct.pack("<h", int(12_000 * math.sin(2 * math.pi * hertz * n / rate))) for n in range(count)
    )


@dataclass(frozen=True)
class Stage:
    """A folder, in which ``victim.*`` are the recordings of others and ``canary.txt`` their text."""

    folder: Path
    ffmpeg: Path
    listener: socket

    @property
    def port(self) -> int:
        """The port on this machine at which a connection would be noticed."""
        return int(self.listener.getsockname()[1])

    def was_called(self) -> bool:
        """Return whether somebody has connected since the last time."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def encoded(self, name: str, *arguments: str) -> bytes:
        """Return two seconds of our own tone in the format of ``name``."""
        path = self.folder / f"honest-{name}"
        if not path.exists():
            self.encode(path, "-i", str(self._own), *arguments)
        return path.read_bytes()

    def encode(self, path: Path, *arguments: str) -> None:
        """Run the encoder. Raises ``CalledProcessError``."""
        words = [str(self.ffmpeg), "-nostdin", "-y", "-loglevel", "error", *arguments, str(path)]
        subprocess.run(words, check=True, capture_output=True)

    @cached_property
    def _own(self) -> Path:
        path = self.folder / "own.wav"
        write_wav(path, tone(OWN_HERTZ, 2))
        return path


@contextmanager
def stage(folder: Path, ffmpeg: Path) -> Iterator[Stage]:
    """Set the stage in ``folder``."""
    victim = folder / "victim.wav"
    write_wav(victim, tone(FOREIGN_HERTZ, 3))
    (folder / "canary.txt").write_bytes(CANARY * 4_000)
    with create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        made = Stage(folder, ffmpeg, listener)
        made.encode(folder / "victim.mp3", "-i", str(victim))
        made.encode(folder / "victim.ts", "-i", str(victim), "-c:a", "mp2")
        for number in range(3):
            made.encode(folder / f"victim{number:03d}.mp3", "-i", str(victim))
        yield made


def write_wav(path: Path, samples: bytes) -> None:
    """Write samples of 16 bits as they are."""
    path.write_bytes(wav_bytes(samples))


def wav_bytes(samples: bytes, *, rate: int = RATE) -> bytes:
    """Return a WAV file of samples of 16 bits, mono."""
    written = io.BytesIO()
    with wave.open(written, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return written.getvalue()


Verdict = Literal["refused", "bounded"]


@dataclass(frozen=True)
class Evil:
    """A file that was made to harm, called ``file_name``.

    ``refused`` ones must bring no sample, ``bounded`` ones may bring their own and must end.
    """

    file_name: str
    put: Callable[[Stage, Path], None]
    verdict: Verdict = "refused"


Content = bytes | Callable[[Stage], bytes]


def content(what: Content, file_name: str = "recording.wav", verdict: Verdict = "refused") -> Evil:
    """Return an evil file of these bytes."""

    def put(stage: Stage, path: Path) -> None:
        path.write_bytes(what if isinstance(what, bytes) else what(stage))

    return Evil(file_name, put, verdict)
