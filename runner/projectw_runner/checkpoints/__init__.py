"""The weights: which there are, where they lie, how they come, and that they are the true ones."""

from projectw_runner.checkpoints.official import canonical, file_name
from projectw_runner.checkpoints.sources import DEFAULT_MIRRORS, CheckpointError, Progress
from projectw_runner.checkpoints.store import CheckpointStore, Verdict, default_models_dir

__all__ = [
    "DEFAULT_MIRRORS",
    "CheckpointError",
    "CheckpointStore",
    "Progress",
    "Verdict",
    "canonical",
    "default_models_dir",
    "file_name",
]
