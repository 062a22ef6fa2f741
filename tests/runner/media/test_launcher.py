"""What a process has given up once it is behind the launcher: seen from inside, by a Python in ffmpeg's place."""

import errno
import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from projectw_runner.media import Confinement, launcher
from projectw_runner.media.confinement import NOBODY, readable
from projectw_runner.media.seccomp import filter_program

SPY = """
import errno, json, os, socket, sys, threading
def attempt(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    except RuntimeError as error:
        return str(error)
    return "done"
def libc(number, *arguments):
    import ctypes
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def thread():
    heard = []
    one = threading.Thread(target=heard.append, args=(1,))
    one.start(); one.join()
    if not heard:
        raise RuntimeError("no thread")
secret, made = sys.argv[1:]
def fork():
    if os.fork() == 0:
        os._exit(0)
print(json.dumps({
    "recording": attempt(lambda: os.read(0, 10)),
    "other": attempt(lambda: open(secret)),
    "passwd": attempt(lambda: open("/etc/passwd")),
    "status": attempt(lambda: open("/proc/self/status")),
    "write": attempt(lambda: open(made, "w")),
    "list": attempt(lambda: os.listdir("/etc")),
    "chmod": attempt(lambda: os.chmod(secret, 0o777)),
    "tcp": attempt(lambda: socket.socket()),
    "unix": attempt(lambda: socket.socketpair()),
    "uring": attempt(lambda: libc(425, 4, 0)),
    "fork": attempt(fork),
    "thread": attempt(thread),
    "kill": attempt(lambda: os.kill(os.getppid(), 0)),
    "root": attempt(lambda: os.setuid(0)) if os.getuid() else "done",
    "chroot": attempt(lambda: os.chroot("/")),
}), flush=True)
sys.exit(attempt(lambda: os.execv("/bin/echo", ["echo"])))
"""


@pytest.fixture
def spy(tmp_path: Path) -> Path:
    path = tmp_path / "spy.py"
    path.write_text(SPY)
    return path


def launched(spy: Path, *options: str) -> dict[str, str]:
    secret = spy.parent / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    with secret.open() as recording:
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-S", launcher.__file__, "memory=2000000000", "cpu=10", *options),
                *(
                    "--",
                    sys.executable,
                    "-I",
                    "-S",
                    str(spy),
                    str(spy.parent / "other"),
                    str(spy.parent / "made"),
                ),
            ],
            stdin=recording,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return {**found, "run": done.stderr.strip() or "done"}


@pytest.fixture(autouse=True)
def other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("somebody else's")


def python_and(spy: Path) -> list[str]:
    prefixes = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    return [f"read={name}" for name in (*prefixes, str(spy), *readable(Path(sys.executable)))]


def test_with_nothing_asked_all_is_open_so_that_the_spy_can_tell(spy: Path) -> None:
    found = launched(spy)
    for deed in (
        "recording",
        "other",
        "passwd",
        "write",
        "list",
        "tcp",
        "unix",
        "fork",
        "thread",
        "chmod",
        "run",
    ):
        assert found[deed] == "done", deed


def test_behind_landlock_nothing_but_what_is_named_can_be_opened(
    spy: Path, there: dict[str, Confinement]
) -> None:
    if "landlock alone" not in there:
        pytest.skip("this kernel has no Landlock")
    found = launched(spy, *python_and(spy))
    assert found["recording"] == found["thread"] == "done"
    for deed in ("other", "passwd", "status", "write", "list", "run"):
        assert found[deed] == "EACCES", deed
    assert not (spy.parent / "made").exists()


def test_behind_the_filter_no_socket_no_process_and_no_signal_but_threads(spy: Path) -> None:
    program = filter_program()
    if program is None:
        pytest.skip("the numbers of this processor's calls are not known")
    found = launched(spy, f"filter={program.hex()}")
    assert found["recording"] == found["thread"] == "done"
    for deed in ("tcp", "unix", "uring", "fork", "kill", "chmod", "chroot"):
        assert found[deed] == "EPERM", deed


def test_no_power_of_root_is_left(spy: Path) -> None:
    assert launched(spy)["chroot"] == "EPERM"


def test_where_nothing_is_to_be_dropped_the_call_that_would_is_not_made() -> None:
    """As in a unit whose list of system calls leaves out the privileged ones."""
    if platform.machine() != "x86_64":
        pytest.skip("the number of capset is that of x86-64")
    no_capset = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),
            (0x15, 0, 1, 126),
            (0x06, 0, 0, 0x00050000 | errno.EPERM),
            (0x06, 0, 0, 0x7FFF0000),
        )
    )
    inner = (
        sys.executable,
        "-I",
        "-S",
        launcher.__file__,
        "memory=2000000000",
        "cpu=10",
        "--",
        "/bin/echo",
        "ran",
    )
    done = run(f"filter={no_capset.hex()}", command=inner)
    assert (done.stdout, done.returncode) == ("ran\n", 0), done.stderr


def run(*options: str, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            launcher.__file__,
            "memory=2000000000",
            "cpu=10",
            *options,
            "--",
            *command,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_root_becomes_nobody_in_no_group(spy: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    facts = run(f"user={NOBODY}", command=("/bin/cat", "/proc/self/status")).stdout
    lines = dict(line.split(":", 1) for line in facts.splitlines())
    assert set(lines["Uid"].split()) == set(lines["Gid"].split()) == {str(NOBODY)}
    assert lines["Groups"].split() == []
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
    assert lines["NoNewPrivs"].strip() == "1"


def test_the_network_of_its_own_is_empty(there: dict[str, Confinement]) -> None:
    done = run("namespace=1", command=("/bin/cat", "/proc/net/dev"))
    if done.returncode == launcher.FAILED:
        pytest.skip(done.stderr)
    names = [line.split(":")[0].strip() for line in done.stdout.splitlines()[2:]]
    assert names in ([], ["lo"])


def test_what_the_kernel_refuses_ends_it_before_the_command(spy: Path) -> None:
    done = run("filter=0000000000000000", command=("/bin/echo", "ran"))
    assert (done.returncode, done.stdout) == (launcher.FAILED, "")
    assert done.stderr.startswith("launcher: ")


def test_a_command_that_is_not_there_is_its_own_failure() -> None:
    assert run(command=("/nowhere",)).returncode == launcher.FAILED


def test_the_filter_is_known_for_two_processors_and_for_no_other() -> None:
    for machine in ("x86_64", "aarch64"):
        program = filter_program(machine)
        assert program is not None
        assert len(program) % 8 == 0
    assert filter_program("vax") is None
