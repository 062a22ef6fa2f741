"""Our engine, openai-whisper and faster-whisper on the same recordings: seconds, word errors, memory.

The same weights, samples and number of threads for all. Each contender is a process of its own, loaded and warm
before the clock starts; they compute one at a time and in turn, over several rounds. Decoding the file is not
measured. For faster-whisper the runner converts the weights, once.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engines import contenders, material, options, rounds, scores, tables, weights
from benchmarks.engines.contenders import Contender
from benchmarks.engines.material import Recording
from benchmarks.engines.options import Options
from benchmarks.engines.weights import Weights
from benchmarks.report import Report
from deploy.recordings import RecordingsMissing
from projectw_runner.checkpoints import CheckpointError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    options.add_arguments(parser)


def run(quick: bool, namespace: argparse.Namespace) -> Report:
    """Measure what is asked for. Nothing that cannot run here stops the others: a note says what is missing."""
    wanted = options.checked(namespace)
    admitted, notes = contenders.admitted(wanted.contenders)
    try:
        report = _prepared_and_measured(wanted, admitted)
    except (CheckpointError, RecordingsMissing) as missing:
        raise SystemExit(str(missing)) from missing
    report.notes += notes
    return report


def _prepared_and_measured(wanted: Options, admitted: Sequence[Contender]) -> Report:
    with tempfile.TemporaryDirectory(prefix="projectw-engine-") as folder:
        recordings, silent = _decoded(wanted, Path(folder))
        if not recordings:
            raise SystemExit("there is no recording to transcribe; look at --folder and --only")
        report = _measured(wanted, admitted, recordings, Path(folder))
    report.notes += (f"{name} holds no sound and is left out." for name in silent)
    return report


def _decoded(wanted: Options, folder: Path) -> tuple[list[Recording], list[str]]:
    recordings: list[Recording] = []
    silent: list[str] = []
    for number, source in enumerate(material.find(wanted.folder, wanted.only)[: wanted.clips]):
        recording = material.decode(source, folder / f"{number}.npy")
        if recording is None:
            silent.append(source.name)
        else:
            recordings.append(recording)
    print(f"{len(recordings)} recordings decoded", file=sys.stderr, flush=True)
    return recordings, silent


def _measured(
    wanted: Options, admitted: Sequence[Contender], recordings: Sequence[Recording], folder: Path
) -> Report:
    if wanted.random:
        found = weights.random(wanted.model, folder)
    else:
        found = weights.published(wanted.model, wanted.models_dir)
    ready, found, missing = _converted(admitted, found)
    outcome = rounds.compete(ready, recordings, found, wanted)
    marks: tables.Marks = {}
    if not wanted.random:
        normalize = scores.normalizer(wanted.language)
        marks = tables.marks(
            recordings, outcome.timings, lambda reference, heard: scores.score(reference, heard, normalize)
        )
    on_cuda = any(device.startswith("cuda") for device in outcome.devices.values())
    seconds = sum(each.seconds for each in recordings)
    report = Report(
        f"Engines on {len(recordings)} recordings, {seconds:.0f} s, {_what(wanted)}",
        [*tables.COLUMNS, *(tables.GPU_COLUMNS if on_cuda else ())],
        notes=[*_notes(wanted, on_cuda=on_cuda), *missing, *outcome.notes],
        details=tables.details(recordings, outcome, marks),
    )
    for row in tables.rows(ready, recordings, outcome, marks, gpu=on_cuda):
        report.add(*row)
    return report


def _converted(admitted: Sequence[Contender], found: Weights) -> tuple[list[Contender], Weights, list[str]]:
    """Convert the weights for those who need that. Return who can run, and a sentence for each who cannot."""
    needing = [each for each in admitted if each.program == "faster-whisper"]
    try:
        return list(admitted), weights.convert(found) if needing else found, []
    except OSError as problem:
        notes = [f"{each.name} is left out: the weights cannot be converted: {problem}." for each in needing]
        return [each for each in admitted if each not in needing], found, notes


def _what(wanted: Options) -> str:
    return f"random weights in the shape of {wanted.model}" if wanted.random else wanted.model


def _notes(wanted: Options, *, on_cuda: bool) -> list[str]:
    notes = [
        f"Rounds: {wanted.rounds}, threads: {wanted.threads}. Seconds are medians of the rounds' sums, ratios medians"
        " of the rounds' own ratios to openai-whisper (…-words: to openai-whisper-words).",
        "Least CPU s: each recording's best round, added up; it bears a busy machine better than the medians.",
        "WER by Whisper's own normalizer over all rounds; tokens: decoded in a round, those of discarded tries"
        " included; the peak of memory includes loading.",
        "faster-whisper: beam 1, else its defaults; batched, it cuts the recording by its detector of speech.",
        "ours computes with what is quickest on the device, on most CPUs products of eight bits.",
    ]
    if wanted.random:
        notes.append(
            "Weights of chance: what is written means nothing and is not tried again. openai-whisper and"
            f" faster-whisper write {weights.TOKENS} tokens to each of their windows of 30 s. Our windows are shorter"
            " and more; a prompt is read there in place of tokens, so that a recording takes about as many of them."
            " Silence, which ours passes over, costs the others as much as speech: compare on speech."
        )
    if on_cuda:
        notes.append(
            "GPU MB: what torch has given out at most; for faster-whisper, by how much the card filled while it was"
            " loaded and warmed. GPU busy: nvidia-smi's mean while it computed."
        )
    return notes
