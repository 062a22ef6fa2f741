"""How fast a large recording is received, and how little memory that takes, also on a slow disk.

The real server process with its shipped settings on a core of its own; beside it a bare socket loop and aiohttp's
server that do the same with the bytes: hash, write, fsync. Memory is the rise of the process's peak over what it
held after a first small upload.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.load import EMAIL, PASSWORD, separate_core, small_recording
from benchmarks.processes import Measured, blocking_socket, free_port, head_of, send_body
from benchmarks.report import Report
from deploy.installation import Installation
from deploy.programs import SCRIPTS
from projectw_shared import routes
from projectw_shared.accounts import Login, Tokens

MIB = 1024 * 1024
MEMORY_GOAL_MB = 16.0
SLOW_DISK_MB = 30.0
BOUNDARY = "----projectw-benchmark"
PYTHON: Sequence[str | Path] = [sys.executable, "-m"]


@dataclass
class Figures:
    """One upload."""

    size: int
    seconds: float
    cpu_seconds: float
    rise_bytes: int

    @property
    def rate(self) -> float:
        """MB/s."""
        return self.size / self.seconds / 1e6


Target = Callable[[int], tuple[str, bytes, bytes]]
"""For a size: the head of the request, and what stands before and behind the recording in its body."""


def run(quick: bool) -> Report:
    """Measure all of it; the whole run takes about three minutes and 2 GiB of disk."""
    size = (256 if quick else 2048) * MIB
    report = Report(
        f"Upload of {size // MIB} MiB over loopback",
        ["receiver", "MB/s", "of a socket loop", "of aiohttp", "CPU s/GB", "memory rise MB", "goal met"],
        notes=[
            "Everyone hashes (SHA-256), writes and fsyncs before the answer.",
            f"Goal: the peak of memory rises by at most {MEMORY_GOAL_MB:g} MB.",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="projectw-upload-") as folder, separate_core() as core:
        loop = _peer("socket", Path(folder), core, size)
        aiohttp = _peer("aiohttp", Path(folder), core, size)
        report.add("socket loop", *_cells(loop, loop, aiohttp), None)
        report.add("aiohttp", *_cells(aiohttp, loop, aiohttp), None)
        installation = Installation(Path(folder))
        installation.add_user(EMAIL, PASSWORD)
        ours = ["--config", installation.server_config, "serve", "--port"]
        for name, words, form, length in (
            ("Project W, raw body", [SCRIPTS / "projectw-server"], False, size),
            ("Project W, form", [SCRIPTS / "projectw-server"], True, size),
            (
                f"Project W, raw body, disk of {SLOW_DISK_MB:g} MB/s",
                [*PYTHON, "benchmarks.throttled_server", str(SLOW_DISK_MB)],
                False,
                size // 2 if quick else size,
            ),
        ):
            figures = _ours([*words, *ours], Path(folder), core, length, form=form)
            met = figures.rise_bytes <= MEMORY_GOAL_MB * 1e6
            report.add(name, *_cells(figures, loop, aiohttp), met)
    return report


def _cells(figures: Figures, loop: Figures, aiohttp: Figures) -> list[float]:
    return [
        figures.rate,
        figures.rate / loop.rate,
        figures.rate / aiohttp.rate,
        figures.cpu_seconds / figures.size * 1e9,
        figures.rise_bytes / 1e6,
    ]


def _peer(kind: str, folder: Path, core: int | None, size: int) -> Figures:
    port = free_port()
    words = [*PYTHON, "benchmarks.upload_peers", kind, str(port), folder / "received"]
    with Measured(words, core=core, log=folder / "peer.log") as server:
        server.wait_until_listening(port)
        return _upload(server, port, size, _raw({}))


def _ours(words: Sequence[str | Path], folder: Path, core: int | None, size: int, *, form: bool) -> Figures:
    port = free_port()
    with Measured([*words, str(port)], core=core, log=folder / "server.log") as server:
        server.wait_until_listening(port)
        authorization = {"Authorization": f"Bearer {_sign_in(port)}"}
        figures = _upload(server, port, size, (_form if form else _raw)(authorization))
    for recording in (folder / "data" / "recordings").glob("blobs/*/*"):
        recording.unlink()
    return figures


def _upload(server: Measured, port: int, size: int, target: Target) -> Figures:
    _send(port, MIB, target)
    server.forget_peak()
    held, cpu = server.peak_bytes, server.cpu_seconds
    seconds = _send(port, size, target)
    return Figures(size, seconds, server.cpu_seconds - cpu, server.peak_bytes - held)


def _send(port: int, size: int, target: Target) -> float:
    """Upload ``size`` bytes that begin like a WAV file and return the seconds until the answer."""
    head, before, behind = target(size)
    with blocking_socket(port) as connection:
        answer, seconds = send_body(
            connection, head, size, before=before, start=small_recording()[:44], behind=behind
        )
    if b" 201 " not in answer[:20]:
        raise RuntimeError(f"the upload was answered with {answer[:500]!r}")
    return seconds


def _raw(headers: dict[str, str]) -> Target:
    def target(size: int) -> tuple[str, bytes, bytes]:
        every = {**headers, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        return head_of("POST", routes.JOBS + "?file_name=long.wav", every), b"", b""

    return target


def _form(headers: dict[str, str]) -> Target:
    before = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'.encode()
    )
    behind = f"\r\n--{BOUNDARY}--\r\n".encode()

    def target(size: int) -> tuple[str, bytes, bytes]:
        length = len(before) + size + len(behind)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        every = {**headers, "Content-Type": kind, "Content-Length": str(length)}
        return head_of("POST", routes.JOBS, every), before, behind

    return target


def _sign_in(port: int) -> str:
    body = msgspec.json.encode(Login(EMAIL, PASSWORD))
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    with blocking_socket(port) as connection:
        answer, _ = send_body(connection, head_of("POST", routes.LOGIN, headers), len(body), start=body)
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=Tokens).access_token
