"""The folder of checkpoints on this machine."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from projectw_runner.checkpoints import official
from projectw_runner.checkpoints.sources import (
    DEFAULT_MIRRORS,
    CheckpointError,
    OpenAI,
    Progress,
    Source,
    parse_mirror,
    size_of,
)
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import MODELS

_MODE: Final = 0o644


def default_models_dir() -> Path:
    """Return where checkpoints are kept unless a setting says otherwise."""
    return platformdirs.user_cache_path("projectw") / "models"


def whisper_cache() -> Path:
    """Return the folder in which openai-whisper keeps its own downloads; it is read, never written."""
    return platformdirs.user_cache_path("whisper")


@dataclass(frozen=True)
class Verdict:
    """Whether a file is the checkpoint that its name says."""

    name: str
    path: Path
    is_genuine: bool


class CheckpointStore:
    """The checkpoints in ``models_dir``, each as ``<name>.pt``, and in ``also``, folders that are only read.

    ``mirrors`` are asked after OpenAI's own address when a checkpoint is pulled. Raises ``CheckpointError`` for
    a mirror that cannot be understood.
    """

    def __init__(
        self,
        models_dir: Path | None = None,
        *,
        also: Sequence[Path] | None = None,
        mirrors: Sequence[str] = DEFAULT_MIRRORS,
        sources: Sequence[Source] | None = None,
    ) -> None:
        self.models_dir = models_dir or default_models_dir()
        self._folders = [self.models_dir, *(also if also is not None else [whisper_cache()])]
        self._sources = list(sources) if sources is not None else [OpenAI(), *map(parse_mirror, mirrors)]

    def names(self) -> list[str]:
        """Return the names of the checkpoints that are here, aliases too, smallest first."""
        return [name for name in MODELS if self.find(name) is not None]

    def find(self, name: str) -> Path | None:
        """Return the file of a checkpoint, unread, or None when it is not here."""
        if official.canonical(name) not in official.SHA256:
            return None
        for folder in self._folders:
            path = folder / official.file_name(name)
            if path.is_file():
                return path
        return None

    def path(self, name: str) -> Path:
        """Return the file of a checkpoint for a job. Raises ``JobFailure``: ``model-missing``."""
        path = self.find(name)
        if path is not None:
            return path
        here = self.names()
        raise JobFailure(
            "model-missing",
            f"This runner does not have the model {name}; "
            + (f"it has {', '.join(here)}." if here else "it has none at all.")
            + f" Its operator can fetch it with 'projectw-runner models pull {name}'.",
            retryable=True,  # at another runner
        )

    def genuine(self, name: str) -> Path:
        """Return the file of a checkpoint, read and compared. Raises ``JobFailure``: also ``model-damaged``."""
        path = self.path(name)
        if is_genuine(path, name):
            return path
        raise JobFailure(
            "model-damaged",
            f"This runner's copy of the model {name} is damaged. Its operator can replace it with "
            f"'projectw-runner models pull {name}'.",
            retryable=True,
        )

    def verify(self) -> Iterator[Verdict]:
        """Read every checkpoint here and compare it with what OpenAI has published."""
        for name in official.SHA256:
            for folder in self._folders:
                path = folder / official.file_name(name)
                if path.is_file():
                    yield Verdict(name, path, is_genuine(path, name))

    async def pull(self, name: str, progress: Progress = lambda done, total: None) -> Path:
        """Return the genuine file of a checkpoint, fetched if it is not here. Raises ``CheckpointError``.

        A download that broke off goes on where it stopped; what does not have the SHA-256 that OpenAI has
        published is thrown away. The file appears whole or not at all.
        """
        if official.canonical(name) not in official.SHA256:
            raise CheckpointError(f"There is no model {name!r}; the models are {', '.join(MODELS)}.")
        path = self.find(name)
        if path is not None and await asyncio.to_thread(is_genuine, path, name):
            return path
        try:
            self.models_dir.mkdir(parents=True, exist_ok=True)
            with _alone(self.models_dir / f"{official.file_name(name)}.part") as part:
                await self._fetch(name, part, progress)
                return _keep(part, self.models_dir / official.file_name(name))
        except OSError as problem:
            raise CheckpointError(
                f"The model {name} cannot be kept in {self.models_dir}: {problem.strerror}."
            ) from problem

    async def _fetch(self, name: str, part: Path, progress: Progress) -> None:
        """Fill ``part`` from the first source that has the true file."""
        tried = []
        for source in self._sources:
            if not source.has(name):
                continue
            try:
                if await _fetched(source, name, part, progress):
                    return
            except CheckpointError as refusal:
                tried.append(f"{source}: {refusal}")
            else:
                tried.append(
                    f"{source}: the file is not the one that OpenAI has published (its SHA-256 differs)"
                )
        raise CheckpointError(f"The model {name} cannot be had. " + "; ".join(tried) + ".")


async def _fetched(source: Source, name: str, part: Path, progress: Progress) -> bool:
    """Fill ``part``, anew when what was there from an earlier time was wrong; tell whether it is genuine."""
    for _ in range(2):
        goes_on = size_of(part) > 0
        await source.fetch(name, part, progress)
        if await asyncio.to_thread(is_genuine, part, name):
            return True
        os.truncate(part, 0)
        if not goes_on:
            break
    return False


def is_genuine(path: Path, name: str) -> bool:
    """Tell whether a file has the SHA-256 that OpenAI has published for the checkpoint."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == official.SHA256[official.canonical(name)]


@contextmanager
def _alone(part: Path) -> Iterator[Path]:
    """Hold the unfinished file for this process; raise ``CheckpointError`` while another one fills it."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise CheckpointError("Another process is fetching this model just now; wait for it.") from busy
        try:
            yield part
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def _keep(part: Path, target: Path) -> Path:
    """Give the finished file its name, so that it survives a loss of power."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.chmod(_MODE)
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some network file systems know no fsync of a folder
        os.fsync(folder)
    os.close(folder)
    return target
