"""The engines, each called as its own users call it. What computes is imported by the one that needs it.

Where an engine makes its tokens, they are counted on their way out.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.contenders import Contender
from benchmarks.engines.messages import Load
from benchmarks.engines.weights import TOKENS
from projectw_runner.checkpoints import file_name, official
from projectw_runner.engines import SAMPLE_RATE, Task, registry
from projectw_shared.jobs import JobSettings

Audio = NDArray[np.float32]

_WINDOW_SECONDS: Final = 30
"""What openai-whisper takes at a time."""


class Transcriber(Protocol):
    """An engine with its model."""

    device: str

    @property
    def tokens(self) -> int:
        """How many were decoded so far, those of discarded tries included."""

    def prepare(self, samples: Audio) -> None:
        """Do what comes before these samples are transcribed and is not measured."""

    def transcribe(self, samples: Audio) -> str:
        """Return what is said in the samples."""

    def gpu_bytes(self) -> int | None:
        """Return the most memory of the graphics card that was taken, where torch knows."""


def make(contender: Contender, load: Load) -> Transcriber:
    """Return the engine that a contender's name stands for. Imports it, which takes seconds."""
    makers: dict[str, Callable[[Contender, Load], Transcriber]] = {
        "ours": Ours,
        "openai-whisper": OpenAIWhisper,
        "faster-whisper": FasterWhisper,
    }
    return makers[contender.program](contender, load)


class Ours:
    """The runner's engine, through its registry and its protocol."""

    def __init__(self, contender: Contender, load: Load) -> None:
        if load.digest is not None:
            official.SHA256[load.model] = load.digest  # else the runner would refuse the weights, and rightly
        self._engine = registry.create(
            "whisper",
            models_dir=Path(load.models_dir),
            device=load.device,
            threads=load.threads,
            precision=contender.precision,
            batch_size=contender.batch,
        )
        self._settings = JobSettings(
            model=load.model, language=load.language, word_timestamps=contender.words
        )
        self._is_random = load.digest is not None
        self.device = self._engine.device
        self.tokens = 0
        self._count_tokens()

    def prepare(self, samples: Audio) -> None:
        """Let weights of chance write as many tokens to these samples as they do for openai-whisper.

        They write the same to each window, and our windows are shorter. A prompt takes their first places away.
        """
        if self._is_random:
            ours, theirs = (
                _our_windows(samples, self._settings.model),
                math.ceil(len(samples) / _WINDOW_SECONDS / SAMPLE_RATE),
            )
            superfluous = TOKENS - round(TOKENS * theirs / ours) if ours else 0
            prompt = " ".join(["a"] * (superfluous - 1)) or None  # and a token that says that it is one
            self._settings = msgspec.structs.replace(self._settings, initial_prompt=prompt)

    def transcribe(self, samples: Audio) -> str:
        steps = self._engine.transcribe(InMemory(samples), Task(self._settings))
        return "".join(segment.text for step in steps for segment in step.segments)

    def gpu_bytes(self) -> int | None:
        return most_of_torch()

    def _count_tokens(self) -> None:
        from projectw_runner.engines.whisper.decoding import Decoded, Writer

        write = Writer._write

        def counted(writer: Writer, *arguments: Any) -> list[list[Decoded]]:
            made = write(writer, *arguments)
            self.tokens += sum(len(each.tokens) for tries in made for each in tries)
            return made

        Writer._write = counted  # type: ignore[assignment, method-assign]


def _our_windows(samples: Audio, model: str | None) -> int:
    """Return into how many windows our engine cuts for a model."""
    from projectw_runner.engines.whisper.hearing import view_for
    from projectw_runner.engines.whisper.speech import SpeechDetector
    from projectw_runner.engines.whisper.windows import CAREFUL, Windows

    longest = view_for(model or "").longest
    windows, count = Windows(InMemory(samples), SpeechDetector(), CAREFUL, longest=longest), 0
    while (portion := windows.next(1)) is not None:
        count += len(portion.windows)
    return count


class InMemory:
    """Samples that are all there. Satisfies ``engines.Samples``."""

    def __init__(self, samples: Audio) -> None:
        self._samples = samples
        self._position = 0

    def read(self, count: int) -> Audio:
        piece = self._samples[self._position : self._position + count]
        self._position += len(piece)
        return piece


class OpenAIWhisper:
    """OpenAI's own package and its ``transcribe`` with all its defaults."""

    def __init__(self, contender: Contender, load: Load) -> None:
        import torch
        import whisper

        torch.set_num_threads(load.threads)
        self._torch = torch
        device = None if load.device == "auto" else load.device
        if load.digest is None:
            self._model = whisper.load_model(load.model, device, download_root=load.models_dir)
        else:
            self._model = whisper.load_model(str(Path(load.models_dir, file_name(load.model))), device)
        self._options = {
            "language": load.language,
            "word_timestamps": contender.words,
            "fp16": self._model.device.type == "cuda",
        }
        self.device = str(self._model.device)
        self.tokens = 0
        self._count_tokens()

    def prepare(self, samples: Audio) -> None: ...

    def transcribe(self, samples: Audio) -> str:
        self._torch.manual_seed(0)  # warmer tries are drawn by lot
        return str(self._model.transcribe(samples, **self._options)["text"])

    def gpu_bytes(self) -> int | None:
        return most_of_torch()

    def _count_tokens(self) -> None:
        decode = self._model.decode

        def counted(*arguments: Any) -> Any:
            made = decode(*arguments)
            self.tokens += len(made.tokens)
            return made

        self._model.decode = counted


class FasterWhisper:
    """Whisper on CTranslate2, greedy as the others are, all else as it comes."""

    def __init__(self, contender: Contender, load: Load) -> None:
        import ctranslate2
        import faster_whisper

        if load.converted is None:
            raise RuntimeError(f"there is no folder of CTranslate2 for {load.model}")
        kind, _, index = load.device.partition(":")
        if kind == "auto":
            kind = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._seed = ctranslate2.set_random_seed
        model = faster_whisper.WhisperModel(
            load.converted,
            device=kind,
            device_index=int(index or 0),
            compute_type=compute_type(kind, int8=contender.precision == "int8"),
            cpu_threads=load.threads,
            local_files_only=True,
        )
        self._counting = model.model = Counting(model.model)
        self._options: dict[str, Any] = {"language": load.language, "beam_size": 1}
        self._model: Any = model
        if contender.batch:
            self._model = faster_whisper.BatchedInferencePipeline(model)
            self._options["batch_size"] = contender.batch
        self.device = f"{kind}:{index or 0}" if kind == "cuda" else kind

    @property
    def tokens(self) -> int:
        return self._counting.tokens

    def prepare(self, samples: Audio) -> None: ...

    def transcribe(self, samples: Audio) -> str:
        self._seed(0)
        segments, _ = self._model.transcribe(samples, **self._options)
        return "".join(segment.text for segment in segments)

    def gpu_bytes(self) -> int | None:
        return None


class Counting:
    """CTranslate2's model, which counts what it writes."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *arguments: Any, **options: Any) -> Any:
        made = self._model.generate(*arguments, **options)
        self.tokens += sum(len(each.sequences_ids[0]) for each in made)
        return made


def compute_type(kind: str, *, int8: bool) -> str:
    """Return CTranslate2's name for what is computed with on ``cpu`` or ``cuda``."""
    if kind == "cuda":
        return "int8_float16" if int8 else "float16"
    return "int8" if int8 else "float32"


def most_of_torch() -> int | None:
    """Return the most memory of the graphics card that torch has given out."""
    import torch

    if not torch.cuda.is_initialized():
        return None
    return max(int(torch.cuda.max_memory_allocated(index)) for index in range(torch.cuda.device_count()))
