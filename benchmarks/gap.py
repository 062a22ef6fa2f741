"""How long a warm runner's engine idles between two jobs that are queued, and what it waits for.

Real server and runner processes on loopback, with the smallest real model on the CPU; all recordings are short clips
of speech, submitted before the runner starts. A gap begins when the engine is through with a job, and ends when it has
the first samples of the next. Beside it what ``whisper`` on the command line takes from file to file.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.report import Report
from deploy.installation import Installation, environment
from deploy.programs import Program
from deploy.recordings import Clip, cache, librivox
from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.media import find_confinement, find_ffmpeg

EMAIL, PASSWORD = "gap@example.org", "a password for the gaps alone"
MODEL = "tiny.en"
GOAL_MS = 500.0

PARTS = {
    "computed": "",
    "delivered": "ffmpeg ended, recording removed, result kept and delivered",
    "assigned": "the next job assigned",
    "fetched": "its recording fetched",
    "reading": "ffmpeg has looked at it and is started again to decode",
    "samples": "the first window of samples decoded",
}
"""What is noted between two jobs, in this order, and what has happened since the one before."""

Gap = dict[str, float]


def run(quick: bool) -> Report:
    """Measure; the whole run takes about two minutes."""
    ffmpeg = find_ffmpeg()
    report = Report(
        "Between two queued jobs on a warm runner",
        ["what", "gaps", "median ms", "max ms", "times the runner's", "goal met"],
        notes=[
            f"Goal: under {GOAL_MS:g} ms for short recordings.",
            "The command line's figures are those of its import, load_model and load_audio, outside any box; it has no "
            "queue, and fetches and delivers nothing.",
            find_confinement(ffmpeg).protections.sentence(),
        ],
    )
    clips = librivox(cache())
    checkpoint = asyncio.run(CheckpointStore().pull(MODEL))
    with tempfile.TemporaryDirectory(prefix="projectw-gap-") as name:
        folder = Path(name)
        gaps = _of_runner(folder, clips, 11 if quick else 41)
        whole = [gap["samples"] - gap["computed"] for gap in gaps]
        own = statistics.median(whole)
        _add(report, "runner: the whole gap", whole, own, goal=True)
        for before, event in pairwise(PARTS):
            _add(report, f"- {PARTS[event]}", [gap[event] - gap[before] for gap in gaps], own)
        peer = _Peer(folder, ffmpeg, checkpoint)
        files = [clip.path for clip in clips]
        _add(report, "whisper a b: one process for all files", peer.ready(files * 2), own)
        each = [peer.ready([file])[0] for file in files[: 3 if quick else 5]]
        _add(report, "whisper a; whisper b: a process for each file", _differences(each), own)
    return report


def _of_runner(folder: Path, clips: Sequence[Clip], jobs: int) -> list[Gap]:
    """Return the times of the events in each gap between ``jobs`` jobs."""
    installation = Installation(folder)
    try:
        installation.add_user(EMAIL, PASSWORD)
        token = installation.add_runner("warm")
        installation.serve()
        installation.must("projectw", "login", EMAIL, "--password-stdin", stdin=PASSWORD)
        files = [folder / f"{number}.wav" for number in range(jobs)]
        for number, file in enumerate(files):
            file.symlink_to(clips[number % len(clips)].path)
        installation.must("projectw", "submit", *map(str, files), "--model", MODEL)
        events = folder / "events.jsonl"
        runner = _start_runner(installation, token, events)
        try:
            runner.until(
                lambda: len(_read(events, "delivered")) == jobs, "do all jobs", timeout=30 + 10 * jobs
            )
        finally:
            runner.stop()
        _expect_texts(installation, jobs)
    finally:
        installation.close()
    times = {name: _read(events, name) for name in PARTS}
    # A job's own end and delivery, then what the next one begins with.
    return [
        {name: of_each[number + (name not in ("computed", "delivered"))] for name, of_each in times.items()}
        for number in range(jobs - 1)
    ]


def _start_runner(installation: Installation, token: str, events: Path) -> Program:
    folder = installation.folder
    settings = {
        "server_url": installation.url,
        "token": token,
        "work_dir": str(folder / "work"),
        "device": "cpu",
    }
    config = folder / "runner.yaml"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"runner": settings}))
    words = [sys.executable, "-m", "benchmarks.gap_runner", events, "--config", config, "run"]
    return Program(words, folder / "runner.log", environment=environment())


def _read(events: Path, name: str) -> list[float]:
    if not events.exists():
        return []
    lines = (json.loads(line) for line in events.read_text().splitlines(keepends=True) if line.endswith("\n"))
    return [seconds for event, seconds in lines if event == name]


def _expect_texts(installation: Installation, jobs: int) -> None:
    listed = json.loads(installation.must("projectw", "jobs", "--json", "--limit", str(jobs)).stdout)
    states = [job["state"] for job in listed]
    if states != ["succeeded"] * jobs:
        raise RuntimeError(f"not every job has succeeded: {states}")


class _Peer:
    """openai-whisper's command line, as far as it gets before it computes."""

    def __init__(self, folder: Path, ffmpeg: Path, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        programs = folder / "bin"
        programs.mkdir()
        (programs / "ffmpeg").symlink_to(ffmpeg)
        self._environment = {**environment(), "PATH": f"{programs}:{os.environ['PATH']}"}

    def ready(self, files: Sequence[Path]) -> list[float]:
        """Return the seconds from file to file, when one process is given ``files``; of one file, its time."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gap_peer", self._checkpoint, *files],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        times: list[float] = json.loads(done.stdout)
        return times if len(times) == 1 else _differences(times)


def _differences(times: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def _add(report: Report, what: str, seconds: Sequence[float], own: float, *, goal: bool = False) -> None:
    median = statistics.median(seconds)
    met = max(seconds) * 1000 <= GOAL_MS if goal else None
    report.add(what, len(seconds), median * 1000, max(seconds) * 1000, median / own, met)
