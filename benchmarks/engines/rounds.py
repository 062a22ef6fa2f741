"""The contenders compute in turn, so that whatever else the machine does befalls them all."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, TypeVar

from benchmarks.engines.busy import Watch
from benchmarks.engines.contenders import Contender
from benchmarks.engines.material import Recording
from benchmarks.engines.messages import Load, Transcribed
from benchmarks.engines.options import Options
from benchmarks.engines.process import ContenderFailed, Process
from benchmarks.engines.weights import Weights

WARM_UP_SECONDS: Final = 10.0
_REST_SECONDS: Final = 0.3
"""What the idle threads of an OpenMP spin at most after their work, 0.2 s, and a look of nvidia-smi."""

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """One transcription. ``busy`` is the share of its time in which the graphics card computed.

    ``tokens`` were decoded for it, those of discarded tries included.
    """

    contender: str
    recording: str
    round: int
    wall: float
    cpu: float
    text: str
    busy: float | None
    tokens: int


@dataclass
class Outcome:
    """All that was measured. ``gpu_bytes`` has no entry for a contender on the CPU."""

    timings: list[Timing] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    gpu_bytes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def compete(
    contenders: Sequence[Contender], recordings: Sequence[Recording], weights: Weights, options: Options
) -> Outcome:
    """Let each contender do each recording in each round; who fails is left out, with a note."""
    with ExitStack() as stack:
        return _Contest(stack, recordings, weights, options).held(contenders)


def turns(names: Sequence[T], rounds: int, files: int) -> Iterator[tuple[int, int, list[T]]]:
    """Yield round, file and the order for it: at each step, another one is first."""
    for number in range(rounds):
        for file in range(files):
            first = (number + file) % len(names) if names else 0
            yield number, file, [*names[first:], *names[:first]]


class _Contest:
    """The processes, and what they have brought so far."""

    def __init__(
        self, stack: ExitStack, recordings: Sequence[Recording], weights: Weights, options: Options
    ) -> None:
        self._stack = stack
        self._recordings = recordings
        self._weights = weights
        self._options = options
        self._outcome = Outcome()
        self._watch = None if options.device == "cpu" else stack.enter_context(Watch(options.device))
        self._processes: dict[str, Process] = {}

    def held(self, contenders: Sequence[Contender]) -> Outcome:
        for each in contenders:
            self._admit(each)
        for number, file, names in turns(list(self._processes), self._options.rounds, len(self._recordings)):
            for name in names:
                if name in self._processes:
                    self._turn(name, self._recordings[file], number)
        for name, process in self._processes.items():
            self._outcome.peak_bytes[name] = process.peak_bytes
            if (taken := process.gpu_bytes()) is not None:
                self._outcome.gpu_bytes[name] = taken
        return self._outcome

    def _admit(self, contender: Contender) -> None:
        """Start, load and warm up."""
        if self._watch:
            time.sleep(_REST_SECONDS)
        name, began = contender.name, time.monotonic()
        process = self._stack.enter_context(Process(self._options.threads))
        held = self._used_bytes()
        try:
            device = process.load(self._order(contender))
            process.transcribe(self._recordings[0].samples, WARM_UP_SECONDS)
        except ContenderFailed as failed:
            self._drop(name, process, failed)
            return
        self._processes[name] = process
        self._outcome.devices[name] = device
        if self._is_on_cuda(name):
            time.sleep(_REST_SECONDS)
            if held is not None and (now := self._used_bytes()) is not None:
                self._outcome.gpu_bytes[name] = round(now - held)
        _tell(f"{name}: loaded and warm on {device}", time.monotonic() - began)

    def _turn(self, name: str, recording: Recording, number: int) -> None:
        if self._options.threads > 1:
            time.sleep(_REST_SECONDS)
        process, began = self._processes[name], time.monotonic()
        try:
            done = process.transcribe(recording.samples)
        except ContenderFailed as failed:
            self._drop(name, process, failed)
            return
        busy = self._watch.share(began, time.monotonic()) if self._watch and self._is_on_cuda(name) else None
        self._outcome.timings.append(_timing(name, recording, number, done, busy))
        _tell(f"round {number + 1}/{self._options.rounds}  {name}  {recording.name}", done.wall)

    def _drop(self, name: str, process: Process, failed: ContenderFailed) -> None:
        process.close()
        self._processes.pop(name, None)
        self._outcome.timings = [each for each in self._outcome.timings if each.contender != name]
        self._outcome.notes.append(f"{name} is left out: {failed}.")
        _tell(f"{name} is left out: {failed}")

    def _is_on_cuda(self, name: str) -> bool:
        return self._outcome.devices[name].startswith("cuda")

    def _used_bytes(self) -> float | None:
        return None if self._watch is None else self._watch.used_bytes()

    def _order(self, contender: Contender) -> Load:
        weights, options = self._weights, self._options
        return Load(
            contender=contender.name,
            model=weights.model,
            models_dir=str(weights.models_dir),
            converted=None if weights.converted is None else str(weights.converted),
            digest=weights.digest,
            device=options.device,
            language=options.language,
            threads=options.threads,
        )


def _timing(name: str, recording: Recording, number: int, done: Transcribed, busy: float | None) -> Timing:
    return Timing(name, recording.name, number, done.wall, done.cpu, done.text, busy, done.tokens)


def _tell(what: str, seconds: float | None = None) -> None:
    print(what if seconds is None else f"{what}  {seconds:.2f} s", file=sys.stderr, flush=True)
