"""What was measured, as rows for people and as figures for programs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

from benchmarks.engines.contenders import Contender
from benchmarks.engines.material import Recording
from benchmarks.engines.rounds import Outcome, Timing
from benchmarks.engines.scores import Score, total
from benchmarks.report import Cell

COLUMNS: Final = (
    "audio",
    "contender",
    "wall s",
    "CPU s",
    "least CPU s",
    "wall ratio",
    "CPU ratio",
    "real-time factor",
    "WER %",
    "tokens",
    "peak MB",
)
GPU_COLUMNS: Final = ("GPU MB", "GPU busy %")
LONG_SECONDS: Final = 60.0
"""Recordings longer than this have rows of their own."""

Marks = dict[tuple[str, str, int], Score]
"""Contender, recording and round → the errors of the text; no entry where there is no reference."""


@dataclass(frozen=True)
class Seconds:
    """What one contender took for the same recordings, round by round."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]


def marks(
    recordings: Iterable[Recording],
    timings: Iterable[Timing],
    score: Callable[[str, str], Score],
) -> Marks:
    """Compare each text with its reference; ``score`` takes the reference first."""
    references = {each.name: each.reference for each in recordings}
    return {
        (each.contender, each.recording, each.round): score(reference, each.text)
        for each in timings
        if (reference := references[each.recording]) is not None
    }


def rows(
    contenders: Sequence[Contender],
    recordings: Sequence[Recording],
    outcome: Outcome,
    marks: Marks,
    *,
    gpu: bool,
) -> list[list[Cell]]:
    """Return the rows for all recordings together, then those for each long one."""
    groups = [("all", list(recordings))]
    if len(recordings) > 1:
        groups += [(each.name, [each]) for each in recordings if each.seconds > LONG_SECONDS]
    return [
        _row(label, contender, group, outcome, marks, gpu=gpu, whole=label == "all")
        for label, group in groups
        for contender in contenders
        if contender.name in outcome.peak_bytes
    ]


def _row(
    label: str,
    contender: Contender,
    group: Sequence[Recording],
    outcome: Outcome,
    marks: Marks,
    *,
    gpu: bool,
    whole: bool,
) -> list[Cell]:
    names = {each.name for each in group}
    own = [each for each in outcome.timings if each.recording in names and each.contender == contender.name]
    taken = seconds_of(own)
    measure = seconds_of(
        each for each in outcome.timings if each.recording in names and each.contender == contender.measure
    )
    wrong = total(marks.get((each.contender, each.recording, each.round)) for each in own).rate
    row: list[Cell] = [
        label,
        contender.name,
        median(taken.wall),
        median(taken.cpu),
        least_cpu(own),
        ratio(taken.wall, measure.wall),
        ratio(taken.cpu, measure.cpu),
        median(taken.wall) / sum(each.seconds for each in group),
        None if wrong is None else wrong * 100,
        tokens_of(own),
        outcome.peak_bytes[contender.name] / 1e6 if whole else None,
    ]
    if gpu:
        held = outcome.gpu_bytes.get(contender.name)
        row += [held / 1e6 if whole and held is not None else None, busy(own)]
    return row


def seconds_of(timings: Iterable[Timing]) -> Seconds:
    """Add up each round by itself."""
    wall: dict[int, float] = {}
    cpu: dict[int, float] = {}
    for each in timings:
        wall[each.round] = wall.get(each.round, 0.0) + each.wall
        cpu[each.round] = cpu.get(each.round, 0.0) + each.cpu
    return Seconds(tuple(wall.values()), tuple(cpu.values()))


def least_cpu(timings: Iterable[Timing]) -> float:
    """Add up what each recording took in its best round: what is left when others disturb the machine."""
    least: dict[str, float] = {}
    for each in timings:
        least[each.recording] = min(each.cpu, least.get(each.recording, each.cpu))
    return sum(least.values())


def tokens_of(timings: Iterable[Timing]) -> int:
    """Return how many tokens a round took, the median of the rounds."""
    rounds: dict[int, int] = {}
    for each in timings:
        rounds[each.round] = rounds.get(each.round, 0) + each.tokens
    return round(median(rounds.values()))


def ratio(own: Sequence[float], measure: Sequence[float]) -> float | None:
    """Return the median of the rounds' own ratios; None without anything to compare with."""
    return median(mine / theirs for mine, theirs in zip(own, measure, strict=True)) if measure else None


def busy(timings: Iterable[Timing]) -> float | None:
    """Return in per cent how busy the graphics card was, longer transcriptions counting for more."""
    known = [(each.busy, each.wall) for each in timings if each.busy is not None]
    return fmean([share * 100 for share, _ in known], [wall for _, wall in known]) if known else None


def details(recordings: Iterable[Recording], outcome: Outcome, marks: Marks) -> dict[str, Any]:
    """Return every single transcription, and what is known of recordings and contenders."""
    runs = []
    for each in outcome.timings:
        mark = marks.get((each.contender, each.recording, each.round))
        runs.append(
            {
                "contender": each.contender,
                "recording": each.recording,
                "round": each.round + 1,
                "wall_seconds": each.wall,
                "cpu_seconds": each.cpu,
                "gpu_busy": each.busy,
                "tokens": each.tokens,
                "errors": None if mark is None else mark.errors,
                "reference_words": None if mark is None else mark.words,
                "text": each.text,
            }
        )
    return {
        "devices": outcome.devices,
        "peak_bytes": outcome.peak_bytes,
        "gpu_bytes": outcome.gpu_bytes,
        "recordings": [
            {"name": each.name, "seconds": each.seconds, "has_reference": each.reference is not None}
            for each in recordings
        ],
        "runs": runs,
    }
