"""The last step before ffmpeg: a process gives up all that decoding does not need, and then becomes ffmpeg.

Run as a file by a bare interpreter, ``python -I -S launcher.py NAME=VALUE… -- COMMAND…``, because code between fork and
exec is not safe in a process with threads, and limits that are set from outside come after the child has begun. It
imports nothing but the standard library, and takes about 15 ms. The names:

- ``memory`` in bytes of address space, ``cpu`` in seconds; no core and no written file come without asking.
- ``user``: the number of the user and group to become, for which one must be root.
- ``namespace``: anything; the network is then an empty one.
- ``read``, several times: a file or folder that may be opened. Without any, files are not confined; with one,
  every other, and all writing, is refused by Landlock, as are TCP and signals to processes outside.
- ``filter``: a program for seccomp in hexadecimal digits. ``filter-at``: do not obey it, hand it on at this descriptor.

It ends with ``FAILED`` when it cannot do what is asked: ffmpeg never runs with less than that.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Final, NoReturn

FAILED: Final = 125
"""The status that says that the launcher failed, not ffmpeg."""

OPEN_FILES: Final = 64

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000

# Landlock: include/uapi/linux/landlock.h. These numbers are the same on every architecture.
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_VERSION: Final = 1
_LANDLOCK_PATH_BENEATH: Final = 1
_EXECUTE: Final = 1 << 0
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_RIGHTS_BY_VERSION: Final = (13, 14, 15, 15, 16)
"""How many kinds of access to files each version knows, from the first on; later ones as many as the last."""

_TCP: Final = 0b11
_SCOPES: Final = 0b11
"""Abstract sockets and signals, as of version 6."""

_CAPABILITY_VERSION: Final = 0x20080522


class _Refused(Exception):
    """The kernel did not do what was asked."""


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main(words: list[str]) -> NoReturn:
    """Do what ``words`` say, then become the command behind ``--``."""
    split = words.index("--")
    options = [word.partition("=")[::2] for word in words[:split]]
    command = words[split + 1 :]
    try:
        _give_up(dict(options), [value for name, value in options if name == "read"])
        os.execv(command[0], command)  # nosec B606  # noqa: S606  the whole point
    except (OSError, _Refused) as problem:
        sys.stderr.write(f"launcher: {problem}\n")
        sys.exit(FAILED)


def _give_up(options: dict[str, str], readable: list[str]) -> None:
    """Put all of it off, in the order in which each step still may take the next."""
    linux = _Linux() if sys.platform == "linux" else None
    if linux is not None:
        linux.prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if "namespace" in options:
            _leave_network(linux)
        if readable:
            _confine_files(linux, readable)
        if "user" in options:
            _become(int(options["user"]))
        if "filter-at" not in options:
            linux.drop_capabilities()
        # After the change of user, which takes it back.
        linux.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if "filter" in options:
            _filter_calls(linux, bytes.fromhex(options["filter"]), options.get("filter-at"))
    _limit(int(options["memory"]), int(options["cpu"]))


def _limit(memory: int, cpu: int) -> None:
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
    ):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _leave_network(linux: "_Linux") -> None:
    """Enter a network that has nothing in it; without the right to, inside a user namespace that gives it."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        linux.unshare(_CLONE_NEWNET)
    except _Refused:
        linux.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        with contextlib.suppress(FileNotFoundError):  # older than Linux 3.19
            Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _confine_files(linux: "_Linux", readable: list[str]) -> None:
    version = linux.call(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    everything = (1 << _RIGHTS_BY_VERSION[min(version, len(_RIGHTS_BY_VERSION)) - 1]) - 1
    attributes = struct.pack("<Q", everything)
    if version >= 4:
        attributes += struct.pack("<Q", _TCP)
    if version >= 6:
        attributes += struct.pack("<Q", _SCOPES)
    rules = linux.call(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    _allow(linux, rules, 0, _READ_FILE)
    for name in readable:
        try:
            opened = os.open(name, os.O_PATH)
        except (FileNotFoundError, PermissionError):
            continue  # what is not there, or not for us, ffmpeg will not miss more than we
        _allow(linux, rules, opened, _EXECUTE | _READ_FILE | (_READ_DIR if Path(name).is_dir() else 0))
        os.close(opened)
    linux.call(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(linux: "_Linux", rules: int, opened: int, rights: int) -> None:
    linux.call(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_PATH_BENEATH, struct.pack("<Qi", rights, opened), 0)


def _become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _filter_calls(linux: "_Linux", program: bytes, descriptor: str | None) -> None:
    if descriptor is None:
        fprog = _Program(len(program) // 8, program)
        linux.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(fprog))
        return
    reader, writer = os.pipe()
    os.write(writer, program)  # a pipe holds more than the longest program
    os.close(writer)
    os.dup2(reader, int(descriptor), inheritable=True)


class _Linux:
    """Calls of the kernel for which Python 3.11 has no function."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def call(self, number: int, *arguments: int | bytes | None) -> int:
        words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        return self._check(f"system call {number}", self._libc.syscall(ctypes.c_long(number), *words))

    def prctl(self, option: int, *arguments: object) -> None:
        words = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
        words += [ctypes.c_ulong(0)] * (4 - len(words))
        self._check(f"prctl {option}", self._libc.prctl(option, *words))

    def unshare(self, flags: int) -> None:
        self._check("a new namespace", self._libc.unshare(flags))

    def drop_capabilities(self) -> None:
        """Keep none of root's powers; with no new privileges set, no exec brings one back.

        Who has none does not ask: a service manager may have forbidden the call.
        """
        header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
        held = ctypes.create_string_buffer(24)
        self._check("capget", self._libc.capget(header, held))
        if any(held.raw):
            self._check("capset", self._libc.capset(header, bytes(24)))

    def _check(self, what: str, result: int) -> int:
        if result < 0:
            raise _Refused(f"{what}: {os.strerror(ctypes.get_errno())}")
        return result


if __name__ == "__main__":
    main(sys.argv[1:])
