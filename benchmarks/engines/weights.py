"""Where the contenders find their weights, the same for all."""

import asyncio
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from projectw_runner.checkpoints import CheckpointStore, canonical, file_name

_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Weights:
    """``<model>.pt`` in ``models_dir``; ``converted`` is the same as a folder of CTranslate2, None without one.

    ``digest`` is the SHA-256 of weights that nobody has published.
    """

    model: str
    models_dir: Path
    converted: Path | None = None
    digest: str | None = None


def published(model: str, models_dir: Path | None, ct2_dir: Path | None) -> Weights:
    """Return OpenAI's weights, fetched if they are not here. Raises ``CheckpointError``."""
    path = asyncio.run(CheckpointStore(models_dir).pull(model))
    return Weights(canonical(model), path.parent.resolve(), ct2_folder(model, ct2_dir))


def ct2_folder(model: str, ct2_dir: Path | None) -> Path | None:
    """Return the folder of CTranslate2 with the model's weights: ``<ct2_dir>/<model>``, None when it is not there."""
    folder = None if ct2_dir is None else (ct2_dir / model).resolve()
    return folder if folder is not None and (folder / "model.bin").is_file() else None


def random(model: str, folder: Path) -> Weights:
    """Return weights of chance in the model's shape, written to ``folder``: 3 GB for a large one."""
    path = folder.resolve() / file_name(model)
    # In a process of its own: this one stays free of torch and small.
    subprocess.run(
        [sys.executable, "-m", "benchmarks.engines.random_weights", model, str(path)], cwd=_ROOT, check=True
    )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Weights(canonical(model), path.parent, digest=digest)
