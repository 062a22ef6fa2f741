"""The engines by name, each made only when it is asked for, because torch takes seconds to import."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from projectw_runner.checkpoints import DEFAULT_MIRRORS, CheckpointStore
from projectw_runner.engines import Engine


def _whisper(
    store: CheckpointStore, device: str, default_model: str | None, threads: int | None, speed: float | None
) -> Engine:
    from projectw_runner.engines.whisper import calm_threads

    calm_threads()
    from projectw_runner.engines.whisper.engine import WhisperEngine

    return WhisperEngine(store, device=device, default_model=default_model, threads=threads)


def _fake(
    store: CheckpointStore, device: str, default_model: str | None, threads: int | None, speed: float | None
) -> Engine:
    from projectw_runner.engines.fake import FakeEngine

    return FakeEngine(speed=speed)


_FACTORIES: Final[
    dict[str, Callable[[CheckpointStore, str, str | None, int | None, float | None], Engine]]
] = {
    "whisper": _whisper,
    "fake": _fake,
}

ENGINES: Final = tuple(_FACTORIES)
"""The names that the setting ``runner.engine`` can have."""


def create(
    name: str,
    *,
    models_dir: Path | None = None,
    device: str = "auto",
    default_model: str | None = None,
    threads: int | None = None,
    mirrors: Sequence[str] = DEFAULT_MIRRORS,
    speed: float | None = None,
) -> Engine:
    """Make an engine. Blocks for seconds when it imports torch. Raises ``ValueError``: no such engine or device.

    ``models_dir``: where the checkpoints lie, None for the user's cache. ``threads``: what torch may use on the
    CPU. ``speed``: of the fake engine, seconds of audio a second.
    """
    if name not in _FACTORIES:
        raise ValueError(f"there is no engine {name!r}; the engines are {', '.join(ENGINES)}")
    store = CheckpointStore(models_dir, mirrors=mirrors)
    return _FACTORIES[name](store, device, default_model, threads, speed)
