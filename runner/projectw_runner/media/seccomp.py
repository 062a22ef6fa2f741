"""The system calls that a decoder does not need, as a program for the kernel's filter.

The language is that of classic BPF, see seccomp(2) and ``include/uapi/linux/filter.h``. Refused is what reaches beyond
the process: sockets and io_uring, which makes them by another way, processes, their memory and signals, mounts and
namespaces, keys, modules, and changes to files' names, owners and times, which Landlock does not know. Threads stay.
"""

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_BITS: Final = 0x45
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_FIRST_ARGUMENT_AT: Final = 16

_CLONE_THREAD: Final = 0x00010000
_CLONE3: Final = 435

_X32: Final = 0x40000000
"""Calls of x86-64 by their second numbering, which would go around a list of the first."""

_NEW_CALLS: Final = (
    424, 425, 426, 427,  # pidfd_send_signal, io_uring_setup, io_uring_enter, io_uring_register
    428, 429, 430, 431, 432, 433, 434, 438,  # open_tree to fspick, pidfd_open, pidfd_getfd
    442, 452, 463, 466,  # mount_setattr, fchmodat2, setxattrat, removexattrat
)  # fmt: skip
"""Since Linux 5.1 the numbers are the same everywhere."""


@dataclass(frozen=True)
class _Architecture:
    audit: int
    clone: int
    refused: tuple[int, ...]


_ARCHITECTURES: Final = {
    "x86_64": _Architecture(
        0xC000003E, 56, (
            41, 42, 43, 44, 46, 49, 50, 53, 288, 307,  # socket, connect, accept, sendto, bind, …
            57, 58, 62, 101, 129, 200, 297, 310, 311,  # fork, kill, ptrace, tkill, process_vm_*, …
            155, 161, 165, 166, 272, 303, 304, 308,  # pivot_root, chroot, mount, unshare, setns, *_handle_at
            175, 176, 246, 248, 249, 250, 298, 313, 320, 321, 323,  # modules, kexec, keys, perf, bpf, userfaultfd
            90, 91, 92, 93, 94, 132, 235, 260, 261, 268, 280,  # chmod, chown, utime and their kin
            188, 189, 190, 197, 198, 199,  # setxattr, removexattr and their kin
        ),
    ),
    "aarch64": _Architecture(
        0xC00000B7, 220, (
            198, 199, 200, 201, 202, 203, 206, 211, 242, 269,
            117, 129, 130, 138, 240, 270, 271,
            39, 40, 41, 51, 97, 264, 265, 268,
            104, 105, 106, 217, 218, 219, 241, 273, 280, 282, 294,
            52, 53, 54, 55, 88,
            5, 6, 7, 14, 15, 16,
        ),
    ),
}  # fmt: skip


def filter_program(machine: str | None = None) -> bytes | None:
    """Return the program for ``machine``, as ``uname -m`` names it (default: this one); None where it is not known."""
    architecture = _ARCHITECTURES.get(machine or platform.machine())
    return None if architecture is None else b"".join(_instructions(architecture))


def _instructions(architecture: _Architecture) -> Iterator[bytes]:
    yield _instruction(_LOAD, _ARCHITECTURE_AT)
    yield _instruction(_JUMP_EQUAL, architecture.audit, 1, 0)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER_AT)
    yield from _answer(_JUMP_GREATER_EQUAL, _X32, errno.ENOSYS)
    # So that the C library starts threads by clone, whose flags can be seen from here.
    yield from _answer(_JUMP_EQUAL, _CLONE3, errno.ENOSYS)
    for number in (*architecture.refused, *_NEW_CALLS):
        yield from _answer(_JUMP_EQUAL, number, errno.EPERM)
    yield _instruction(_JUMP_EQUAL, architecture.clone, 0, 3)
    yield _instruction(_LOAD, _FIRST_ARGUMENT_AT)
    yield _instruction(_JUMP_BITS, _CLONE_THREAD, 1, 0)
    yield _instruction(_RETURN, _ERRNO | errno.EPERM)
    yield _instruction(_RETURN, _ALLOW)


def _answer(jump: int, value: int, error: int) -> Iterator[bytes]:
    yield _instruction(jump, value, 0, 1)
    yield _instruction(_RETURN, _ERRNO | error)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
