"""faster-whisper as an engine: the loop over batches of windows, and the weights kept warm. Imports CTranslate2."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from faster_whisper import WhisperModel

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import Samples, Step, Task
from projectw_runner.engines.choosing import choose_model
from projectw_runner.engines.faster_whisper import loading
from projectw_runner.engines.faster_whisper.conversion import converted
from projectw_runner.engines.faster_whisper.speech import CAREFUL, STRICT
from projectw_runner.engines.faster_whisper.transcription import Transcription
from projectw_runner.engines.faster_whisper.windows import Window, Windows
from projectw_runner.engines.pace import Pace
from projectw_runner.failures import JobFailure
from projectw_shared.transcripts import Segment

FOLDER: Final = "ctranslate2"
"""Where converted models lie, below the folder of the checkpoints."""

_MOST_AT_ONCE: Final = {"cpu": 8, "cuda": 32}


@dataclass(frozen=True)
class _Loaded:
    name: str
    kind: str
    model: WhisperModel


class FasterWhisperEngine:
    """The weights of ``whisper`` in CTranslate2: several windows at once, in half precision or integers.

    On a CPU a large model takes longer than 5 seconds for one window, and nothing smaller can be decoded.
    """

    name = "faster-whisper"

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

        ``batch_size``: how many windows are decoded at once at most, None for as many as time and memory allow;
        with 1 each is told the text before it. ``cpu_fallback``: go on on the CPU when the card's memory is full.
        """
        self._store = store
        self._kind, self._number = loading.choose_device(device)
        self._precision = precision
        compute = loading.compute_type(precision, self._kind, self._number)
        self._default_model = default_model
        self._threads = threads
        self._batch_size = batch_size
        self._cpu_fallback = cpu_fallback
        self._loaded: _Loaded | None = None
        self.device = loading.describe_device(self._kind, self._number, compute)

    def models(self) -> list[str]:
        """Return the names of the checkpoints on this machine, aliases too."""
        return self._store.names()

    def transcribe(self, samples: Samples, task: Task) -> Iterator[Step]:
        """Yield a step for each batch of windows. Raises ``JobFailure``."""
        name = choose_model(self._store.names(), task, self._default_model)
        pace = Pace(self._batch_size or _MOST_AT_ONCE[self._load(name).kind])
        hearing = STRICT if task.settings.vad else CAREFUL
        windows = Windows(samples, hearing.find, max_pause=hearing.max_pause, start_seconds=task.resume_at)
        work = Transcription(task, is_one_by_one=self._batch_size == 1)
        while (batch := windows.next(pace.count)) is not None:
            began = time.monotonic()
            segments = self._write(work, name, batch.windows, pace)
            pace.note(len(batch.windows), time.monotonic() - began)
            yield Step(tuple(segments), batch.resume_at, work.language)

    def unload(self) -> None:
        """Free the weights, on the device and in memory."""
        self._loaded = None
        loading.release()

    def _write(self, work: Transcription, name: str, windows: Sequence[Window], pace: Pace) -> list[Segment]:
        """Return the segments of windows: in smaller batches when memory does not do, at last on the CPU."""
        if not windows:
            return []
        try:
            loaded = self._load(name)
            with loading.memory_failures(loaded.kind):
                return work.batch(loaded.model, windows)
        except JobFailure as failure:
            half = len(windows) // 2
            if failure.code != "out-of-memory" or not (half or self._can_fall_back()):
                raise
        if half:
            pace.limit(half)
            first = self._write(work, name, windows[:half], pace)
            return first + self._write(work, name, windows[half:], pace)
        self.unload()
        self._loaded = self._on(name, "cpu")
        return self._write(work, name, windows, pace)

    def _can_fall_back(self) -> bool:
        kind = self._loaded.kind if self._loaded else self._kind
        return self._cpu_fallback and kind != "cpu"

    def _load(self, name: str) -> _Loaded:
        """Return the weights, where they are if they are warm, else on the device that is set."""
        if self._loaded is None or self._loaded.name != name:
            self.unload()
            try:
                self._loaded = self._on(name, self._kind)
            except JobFailure as failure:
                if failure.code != "out-of-memory" or not self._can_fall_back():
                    raise
                self._loaded = self._on(name, "cpu")
        return self._loaded

    def _on(self, name: str, kind: str) -> _Loaded:
        """Bring a model to a device, converted if this is its first time. Raises ``JobFailure``."""
        try:
            folder = converted(name, self._store.models_dir / FOLDER, lambda: self._store.genuine(name))
        except OSError as problem:
            raise JobFailure(
                "runner-error",
                f"This runner cannot convert the model {name}: {problem.strerror or problem}. Its operator can "
                "make room in the folder of its models, or let the runner write there.",
                retryable=True,
            ) from problem
        number = self._number if kind == self._kind else 0
        compute = loading.compute_type(self._precision if kind == self._kind else "auto", kind, number)
        return _Loaded(name, kind, loading.load(folder, kind, number, compute, self._threads))
