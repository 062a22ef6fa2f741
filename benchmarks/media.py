"""What a stranger's evil file costs a runner, in every box that works here: verdict, CPU, memory, seconds.

Each file is read to its end or refusal by a process of its own, so that what the kernel counts for its children is
what ffmpeg and its launcher took. Then an honest recording is decoded in each box, against ffmpeg with limits alone.
"""

import multiprocessing
import os
import resource
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.evil import EVIL, Evil, Stage, stage
from benchmarks.evil.stage import OWN_HERTZ, content, tone, wav_bytes
from benchmarks.evil.trying import Outcome, try_evil
from benchmarks.report import Report
from projectw_runner.media import Confinement, find_ffmpeg
from projectw_runner.media.trial import boxes

MEBIBYTE: Final = 1024 * 1024
CPU_SECONDS: Final = 5.0
MEMORY: Final = 512.0
SECONDS: Final = 2.0
_ROUNDS: Final = 9
_QUICK_ROUNDS: Final = 3
_HONEST_SECONDS: Final = 20


def run(quick: bool) -> Report:
    """Try them all; a quick run takes the strictest box alone."""
    report = Report(
        "Evil files",
        ["box", "file", "verdict", "audio s", "CPU s", "peak MB", "seconds", "goal met"],
        notes=[
            f"Goal: no foreign byte, no connection, at most {CPU_SECONDS:g} CPU seconds and {MEMORY:g} MB, and "
            f"refused or read within {SECONDS:g} s; refused where the file holds no sound of its own.",
        ],
    )
    ffmpeg = find_ffmpeg()
    with tempfile.TemporaryDirectory(prefix="projectw-evil-") as folder:
        Path(folder).chmod(0o755)
        with stage(Path(folder), ffmpeg) as made:
            there = boxes(ffmpeg)
            strictest = dict(list(there.items())[:1])
            failed: list[str] = []
            for box, confinement in (strictest if quick else there).items():
                for name, evil in EVIL.items():
                    cost = _apart(evil, made, confinement)
                    good = _is_good(evil, cost)
                    failed += [] if good else [f"{name} in {box}"]
                    report.add(
                        box,
                        name,
                        cost["code"],
                        cost["audio_seconds"],
                        cost["cpu"],
                        cost["peak"],
                        cost["seconds"],
                        good,
                    )
            report.notes.append(f"{len(EVIL)} files; not as they should: {', '.join(failed) or 'none'}.")
            overheads = _overheads(made, there, _QUICK_ROUNDS if quick else _ROUNDS)
    report.notes += [f"{box}: {words}" for box, words in overheads.items()]
    return report


def _is_good(evil: Evil, cost: Mapping[str, Any]) -> bool:
    kept = not (cost["is_foreign"] or cost["called"] or cost["retryable"])
    cheap = cost["cpu"] <= CPU_SECONDS and cost["peak"] <= MEMORY and cost["seconds"] <= SECONDS
    return kept and cheap and (evil.verdict == "bounded" or cost["code"] != "read")


def _overheads(made: Stage, there: Mapping[str, Confinement], rounds: int) -> dict[str, str]:
    """Return for each box what a short honest recording takes, rounds of all boxes in turn."""
    sound = content(wav_bytes(tone(OWN_HERTZ, _HONEST_SECONDS)), verdict="bounded")
    times: dict[str, list[float]] = {box: [] for box in there}
    for _ in range(rounds):
        for box, confinement in there.items():
            times[box].append(_apart(sound, made, confinement)["seconds"])
    medians = {box: statistics.median(values) for box, values in times.items()}
    plain = medians["limits alone"]
    return {
        box: f"honest {_HONEST_SECONDS} s take {1000 * median:.0f} ms, {median / plain:.2f} times that of limits alone"
        for box, median in medians.items()
    }


def _apart(evil: Evil, made: Stage, confinement: Confinement) -> dict[str, Any]:
    """Return what came of the file, with CPU in seconds and the peak of memory in MiB, by a process of its own."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=partial(_child, evil, made, confinement, writer))
    child.start()
    writer.close()
    try:
        found: dict[str, Any] = reader.recv()
    finally:
        child.join()
        reader.close()
    return found


def _child(evil: Evil, made: Stage, confinement: Confinement, writer: Any) -> None:
    outcome: Outcome = try_evil(evil, made, made.folder / "work" / evil.file_name, confinement)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    writer.send(
        {**asdict(outcome), "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024 / MEBIBYTE}
    )
    writer.close()
    os._exit(0)
