"""Where the contenders find their weights, the same for all."""

import asyncio
import hashlib
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from projectw_runner.checkpoints import CheckpointStore, canonical, file_name, official

TOKENS: Final = 100
"""What weights of chance write for each window: what half a minute of fluent speech takes."""

_ROOT: Final = Path(__file__).parents[2]
_CONVERSIONS: Final = "ctranslate2"


@dataclass(frozen=True)
class Weights:
    """``<model>.pt`` in ``models_dir``, and ``converted``, if anybody needs that, to a folder of CTranslate2.

    ``conversions`` is where such folders lie. ``digest`` is the SHA-256 of weights that nobody has published.
    """

    model: str
    models_dir: Path
    conversions: Path
    digest: str | None = None
    converted: Path | None = None


def published(model: str, models_dir: Path | None) -> Weights:
    """Return OpenAI's weights, fetched if they are not here. Raises ``CheckpointError``."""
    store = CheckpointStore(models_dir)
    path = asyncio.run(store.pull(model))
    return Weights(canonical(model), path.parent.resolve(), store.models_dir.resolve() / _CONVERSIONS)


def random(model: str, folder: Path) -> Weights:
    """Return weights of chance in the model's shape, written to ``folder``: 3 GB for a large one."""
    path = folder.resolve() / file_name(model)
    # In a process of its own: this one stays free of torch and small.
    subprocess.run(
        [sys.executable, "-m", "benchmarks.engines.random_weights", model, str(path)], cwd=_ROOT, check=True
    )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Weights(canonical(model), path.parent, path.parent / _CONVERSIONS, digest)


def convert(weights: Weights) -> Weights:
    """Return the weights converted as the runner does that, unless they already are. Raises ``OSError``."""
    # In a process of its own, as above.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return replace(weights, converted=other.submit(_convert, weights).result())


def _convert(weights: Weights) -> Path:
    from projectw_runner.engines.faster_whisper.conversion import converted

    if weights.digest is not None:
        official.SHA256[weights.model] = weights.digest  # by which it knows them
    return converted(
        weights.model, weights.conversions, lambda: weights.models_dir / file_name(weights.model)
    )
