"""The engines by name, each made only when it is asked for, because torch takes seconds to import."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from projectw_runner.checkpoints import DEFAULT_MIRRORS, CheckpointStore
from projectw_runner.engines import Engine
from projectw_runner.engines.faults import FakeFault, Mischief


@dataclass(frozen=True)
class EngineOptions:
    """What can be said to an engine; each overlooks what means nothing to it.

    ``threads``: how many to compute with on the CPU. ``precision``: one of ``PRECISIONS``. ``batch_size``: how many
    windows are computed at once at most, None for what the memory allows. ``cpu_fallback``: go on on the CPU when
    the card's memory does not do. Of the fake engine, ``speed``: seconds of audio a second; ``faults`` and ``seed``:
    what goes wrong on purpose.
    """

    device: str = "auto"
    default_model: str | None = None
    threads: int | None = None
    precision: str = "auto"
    batch_size: int | None = None
    cpu_fallback: bool = False
    speed: float | None = None
    faults: Sequence[FakeFault] = ()
    seed: int | None = None


PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16", "int8")
"""The names that the setting ``runner.precision`` can have."""


def _whisper(store: CheckpointStore, options: EngineOptions) -> Engine:
    from projectw_runner.engines.whisper import calm_threads, keep_memory

    calm_threads()
    keep_memory()
    from projectw_runner.engines.whisper.engine import WhisperEngine

    return WhisperEngine(
        store,
        device=options.device,
        default_model=options.default_model,
        threads=options.threads,
        precision=options.precision,
        batch_size=options.batch_size,
        cpu_fallback=options.cpu_fallback,
    )


def _faster_whisper(store: CheckpointStore, options: EngineOptions) -> Engine:
    from projectw_runner.engines.whisper import calm_threads

    calm_threads()  # torch is imported after all when a checkpoint is converted
    from projectw_runner.engines.faster_whisper.engine import FasterWhisperEngine

    return FasterWhisperEngine(
        store,
        device=options.device,
        default_model=options.default_model,
        threads=options.threads,
        precision=options.precision,
        batch_size=options.batch_size,
        cpu_fallback=options.cpu_fallback,
    )


def _fake(_store: CheckpointStore, options: EngineOptions) -> Engine:
    from projectw_runner.engines.fake import FakeEngine

    return FakeEngine(speed=options.speed, mischief=Mischief(options.faults, options.seed))


_FACTORIES: Final[dict[str, Callable[[CheckpointStore, EngineOptions], Engine]]] = {
    "whisper": _whisper,
    "faster-whisper": _faster_whisper,
    "fake": _fake,
}

ENGINES: Final = tuple(_FACTORIES)
"""The names that the setting ``runner.engine`` can have."""

EXTRAS: Final = {"whisper": "runner", "faster-whisper": "faster-whisper", "fake": "runner"}
"""The extra of the installation that brings what an engine imports."""


def create(
    name: str,
    *,
    models_dir: Path | None = None,
    mirrors: Sequence[str] = DEFAULT_MIRRORS,
    device: str = "auto",
    default_model: str | None = None,
    threads: int | None = None,
    precision: str = "auto",
    batch_size: int | None = None,
    cpu_fallback: bool = False,
    speed: float | None = None,
    faults: Sequence[FakeFault] = (),
    seed: int | None = None,
) -> Engine:
    """Make an engine. Blocks for seconds when it imports torch.

    Raises ``ValueError`` when there is no such engine, precision or device (``Unsupported`` where a setting asks
    for what this machine has not), and ``ModuleNotFoundError`` when the engine's extra is not installed.
    ``models_dir``: where the checkpoints lie, None for the user's cache. The rest: see ``EngineOptions``.
    """
    if name not in _FACTORIES:
        raise ValueError(f"there is no engine {name!r}; the engines are {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"there is no precision {precision!r}; the precisions are {', '.join(PRECISIONS)}")
    options = EngineOptions(
        device=device,
        default_model=default_model,
        threads=threads,
        precision=precision,
        batch_size=batch_size,
        cpu_fallback=cpu_fallback,
        speed=speed,
        faults=faults,
        seed=seed,
    )
    return _FACTORIES[name](CheckpointStore(models_dir, mirrors=mirrors), options)
