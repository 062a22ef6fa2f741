"""Whisper as an engine: the loop over batches of windows, and the weights kept warm. Imports torch."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

import torch

from projectw_runner.checkpoints import CheckpointStore, canonical
from projectw_runner.engines import Samples, Step, Task
from projectw_runner.engines.choosing import choose_model
from projectw_runner.engines.pace import Pace
from projectw_runner.engines.whisper import arithmetic, give_back_memory, loading
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.speech import SpeechDetector
from projectw_runner.engines.whisper.transcription import Transcription
from projectw_runner.engines.whisper.windows import CAREFUL, STRICT, Window, Windows
from projectw_runner.failures import JobFailure
from projectw_shared.transcripts import Segment

_MOST_AT_ONCE: Final = {"cpu": 16, "cuda": 64}

_CPU_BYTES: Final = 512 * 1024 * 1024
"""What the windows of a batch take at most on the CPU, beside the weights."""

_FREE_PART: Final = 0.7
"""The part of a card's free memory that the windows of a batch may take."""

_SMALL: Final = 100_000_000
"""Parameters of a model of which even a CPU does some windows in a few seconds."""

_TRIES: Final = 5
"""Sequences that are drawn of a window at most: at a temperature, or when it looks wrong."""

_FIRST: Final = 4
"""Windows of the first batch, on which the language is detected: more than 30 seconds."""


class WhisperEngine:
    """OpenAI's weights in a loop of our own: windows cut in pauses, many at once.

    On a CPU the large models take longer than the 5 seconds that a batch should take: nothing smaller than a window
    can be decoded, so there a job is cancelled later.
    """

    name = "whisper"

    def __init__(
        self,
        store: CheckpointStore,
        *,
        device: str = "auto",
        default_model: str | None = None,
        threads: int | None = None,
        precision: str = "auto",
        batch_size: int | None = None,
        cpu_fallback: bool = False,
    ) -> None:
        """Raise ``Unsupported`` for a device that is not there or a precision that it has not.

        ``threads``: what torch may use on the CPU. ``batch_size``: how many windows are decoded at once at most,
        None for as many as time and memory allow. ``cpu_fallback``: go on on the CPU when the card's memory is full.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self._store = store
        self._device = loading.choose_device(device)
        self._precision = precision
        arithmetic.check(precision, self._device)
        self._default_model = default_model
        self._batch_size = batch_size
        self._cpu_fallback = cpu_fallback
        self._network: Network | None = None
        self._detector: SpeechDetector | None = None
        self.device = loading.describe_device(self._device)

    def models(self) -> list[str]:
        """Return the names of the checkpoints on this machine, aliases too."""
        return self._store.names()

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Yield a step for each batch of windows. Raises ``JobFailure``."""
        name = canonical(choose_model(self._store.names(), task, self._default_model))
        network = self._load(name)
        pace = self._pace(network, task)
        self._detector = self._detector or SpeechDetector()
        windows = Windows(
            samples,
            self._detector,
            STRICT if task.settings.vad else CAREFUL,
            start_seconds=task.resume_at,
            longest=network.view.longest,
        )
        work = Transcription(task)
        while (portion := windows.next(pace.count)) is not None:
            began = time.monotonic()
            segments = self._write(work, name, portion.windows, pace)
            pace.note(len(portion.windows), time.monotonic() - began)
            give_back_memory()
            yield Step(tuple(segments), portion.resume_at, work.language)

    def unload(self) -> None:
        """Free the weights, on the device and in memory."""
        self._network = None
        loading.release(self._device)

    def _pace(self, network: Network, task: Task) -> Pace:
        width = max(task.settings.beam_size or 1, _TRIES if task.settings.temperature > 0 else 1)
        kind = network.device.type
        room = _CPU_BYTES
        if kind == "cuda":
            room = int(_FREE_PART * loading.free_memory(network.device))
            width = max(width, _TRIES)
        fitting = max(room // network.window_bytes(width), 1)
        first = _FIRST
        if kind == "cpu":
            first = max(_FIRST // width, 1) if network.parameters < _SMALL else 1
        return Pace(min(self._batch_size or _MOST_AT_ONCE[kind], fitting), first=first)

    def _write(self, work: Transcription, name: str, windows: Sequence[Window], pace: Pace) -> list[Segment]:
        """Return the segments of windows: in smaller batches when memory does not do, at last on the CPU."""
        if not windows:
            return []
        try:
            network = self._load(name)
            with loading.memory_failures(network.device):
                return work.batch(network, windows)
        except JobFailure as failure:
            half = len(windows) // 2
            if failure.code != "out-of-memory" or not (half or self._can_fall_back()):
                raise
        loading.release(self._device)
        if half:
            pace.limit(half)
            first = self._write(work, name, windows[:half], pace)
            return first + self._write(work, name, windows[half:], pace)
        self.unload()
        self._network = self._on(name, torch.device("cpu"))
        work.restart()
        return self._write(work, name, windows, pace)

    def _can_fall_back(self) -> bool:
        device = self._network.device if self._network else self._device
        return self._cpu_fallback and device.type != "cpu"

    def _load(self, name: str) -> Network:
        """Return the weights, where they are if they are warm, else on the device that is set."""
        if self._network is None or self._network.name != name:
            self.unload()
            try:
                self._network = self._on(name, self._device)
            except JobFailure as failure:
                if failure.code != "out-of-memory" or not self._can_fall_back():
                    raise
                self._network = self._on(name, torch.device("cpu"))
        return self._network

    def _on(self, name: str, device: torch.device) -> Network:
        precision = self._precision if device == self._device else "auto"
        network = loading.load(name, self._store.genuine(name), device, precision)
        loading.release(device)  # what the weights were made from
        return network
