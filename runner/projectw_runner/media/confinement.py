"""The boxes in which ffmpeg meets a stranger's file. In all of them the recording is its standard input."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from projectw_runner.media import launcher
from projectw_runner.media.ffmpeg import Reading
from projectw_runner.media.limits import Bounds
from projectw_runner.media.seccomp import filter_program

NOBODY: Final = 65534

_LIBRARIES: Final = (
    "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/local/lib", "/usr/local/lib64",
    "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
)  # fmt: skip
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_BOUND: Final = ("/usr", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
_FILTER_AT: Final = 9
"""The descriptor at which bubblewrap finds the filter; the launcher has no other open so far up."""


@dataclass(frozen=True)
class Protections:
    """What a box keeps from ffmpeg. An empty sentence means that it does not; ``missing`` says why, and what helps."""

    files: str = ""
    network: str = ""
    user: str = ""
    missing: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Return whether neither another file nor the network can be reached."""
        return bool(self.files and self.network)

    def sentence(self) -> str:
        """Say for people how recordings are decoded here."""
        said = [
            f"ffmpeg's access to files: {self.files or 'as the runner has it'}",
            f"network: {self.network or 'as the runner has it'}",
            f"user: {self.user or 'that of the runner'}",
            "limits: memory, processor time, open files, no file written",
        ]
        missing = f". Missing: {'; '.join(self.missing)}" if self.missing else ""
        return f"{'; '.join(said)}{missing}."


class Confinement(Protocol):
    """A box, and how ffmpeg reads its standard input there."""

    @property
    def reading(self) -> Reading:
        """How ffmpeg gets at the recording."""

    @property
    def protections(self) -> Protections:
        """What is kept from ffmpeg."""

    def command(self, ffmpeg: Path, arguments: list[str], bounds: Bounds) -> list[str]:
        """Return the words that run ``ffmpeg`` with ``arguments`` inside, with the recording as standard input."""


@dataclass(frozen=True)
class Limits:
    """Limits on memory, time and files alone: the last resort, and what the setting ``limits`` asks for."""

    reading: Reading
    missing: tuple[str, ...] = ()

    @property
    def protections(self) -> Protections:
        """Nothing but the limits, and of root's powers none."""
        return Protections(user="that of the runner, without privileges", missing=self.missing)

    def command(self, ffmpeg: Path, arguments: list[str], bounds: Bounds) -> list[str]:
        """Return the words that run ``ffmpeg`` with its limits."""
        return _launched(bounds, (), [str(ffmpeg), *arguments])


class Part(Enum):
    """What the kernel can do of itself, each with the words for what it does."""

    CALLS = "seccomp"
    FILES = "landlock"
    NETWORK = "namespace"
    USER = "nobody"


@dataclass(frozen=True)
class Kernel:
    """A box by what the kernel has, with nothing installed: any of Landlock, seccomp, a namespace, a user."""

    reading: Reading
    parts: frozenset[Part]
    missing: tuple[str, ...] = ()

    @property
    def protections(self) -> Protections:
        """What the parts make together."""
        nets = (
            ("an empty one of its own", Part.NETWORK in self.parts),
            ("no socket can be made (seccomp)", Part.CALLS in self.parts),
        )
        return Protections(
            files="the recording and libraries, read-only (Landlock)" if Part.FILES in self.parts else "",
            network=", ".join(words for words, there in nets if there),
            user="nobody" if Part.USER in self.parts else "that of the runner, without privileges",
            missing=self.missing,
        )

    def command(self, ffmpeg: Path, arguments: list[str], bounds: Bounds) -> list[str]:
        """Return the words that give up the parts and run ``ffmpeg``."""
        return _launched(bounds, self._options(ffmpeg), [str(ffmpeg), *arguments])

    def _options(self, ffmpeg: Path) -> Iterator[str]:
        if Part.FILES in self.parts:
            yield from (f"read={name}" for name in readable(ffmpeg))
        if Part.NETWORK in self.parts:
            yield "namespace=1"
        if Part.USER in self.parts:
            yield f"user={NOBODY}"
        if Part.CALLS in self.parts and (program := filter_program()):
            yield f"filter={program.hex()}"


@dataclass(frozen=True)
class Bubblewrap:
    """A box by bubblewrap: namespaces of every kind, a file system of libraries alone, and the filter of calls.

    As root with ``as_nobody`` bubblewrap itself runs as nobody.
    """

    reading: Reading
    program: Path
    as_nobody: bool = False
    filtered: bool = field(default_factory=lambda: filter_program() is not None)

    @property
    def protections(self) -> Protections:
        """The whole of it."""
        return Protections(
            files=f"the recording and libraries, read-only ({self.program})",
            network="an empty one of its own"
            + (", no socket can be made (seccomp)" if self.filtered else ""),
            user="nobody" if self.as_nobody else "that of the runner, without privileges",
        )

    def command(self, ffmpeg: Path, arguments: list[str], bounds: Bounds) -> list[str]:
        """Return the words that take the limits, then build the box, then run ``ffmpeg`` in it."""
        real = str(ffmpeg.resolve())
        options = [f"user={NOBODY}"] if self.as_nobody else []
        words = [str(self.program), "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        program = filter_program() if self.filtered else None
        # Named also without a filter, so that the launcher leaves bubblewrap the powers to build with.
        options += [f"filter-at={_FILTER_AT}"]
        if program is not None:
            options += [f"filter={program.hex()}"]
            words += ["--seccomp", str(_FILTER_AT)]
        words += _binds(ffmpeg)
        if self.reading is Reading.FILE:
            words += ["--proc", "/proc"]
        words += ["--chdir", "/", real]
        return _launched(bounds, options, [*words, *arguments])


def readable(ffmpeg: Path) -> list[str]:
    """Return what ``ffmpeg`` must be able to open to start: itself, libraries, devices without content."""
    return list(dict.fromkeys((*_own(ffmpeg), *_LIBRARIES, *_DEVICES)))


def _own(ffmpeg: Path) -> list[str]:
    """Return the program and the folders of libraries that are its own, or named in the environment."""
    real = ffmpeg.resolve()
    own = [str(real)]
    if real.parent.name == "bin":  # an installation of its own kind, as conda's, has its libraries beside it
        own.append(str(real.parent.parent / "lib"))
    return own + [name for name in os.environ.get("LD_LIBRARY_PATH", "").split(":") if name.startswith("/")]


def _launched(
    bounds: Bounds, options: Iterator[str] | list[str] | tuple[()], command: list[str]
) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", launcher.__file__),
        *(f"memory={bounds.memory_bytes}", f"cpu={bounds.cpu_seconds}", *options),
        *("--", *command),
    ]


def _binds(ffmpeg: Path) -> list[str]:
    binds: list[str] = []
    for name in map(Path, _BOUND):
        if name.is_symlink():
            binds += ["--symlink", str(name.readlink()), str(name)]
        else:
            binds += ["--ro-bind-try", str(name), str(name)]
    for own in _own(ffmpeg):
        binds += ["--ro-bind-try", own, own]
    return binds
