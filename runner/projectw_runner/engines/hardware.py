"""What there is to compute with, for people who look for a mistake."""

import shutil
import subprocess
from dataclasses import dataclass

_SECONDS = 20


@dataclass(frozen=True)
class Gpu:
    """One CUDA device as torch sees it; memory in bytes."""

    name: str
    memory: int
    free: int


@dataclass(frozen=True)
class Hardware:
    """The torch that is installed and what it finds.

    ``cuda_build`` is the CUDA version that torch was built for, None for a build without. ``driver`` is the
    NVIDIA driver's version, None when there is no driver.
    """

    torch: str
    cuda_build: str | None
    driver: str | None
    gpus: tuple[Gpu, ...]


def look() -> Hardware:
    """Return what is here. Imports torch, which takes seconds."""
    import torch

    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, memory = torch.cuda.mem_get_info(index)
            gpus.append(Gpu(torch.cuda.get_device_name(index), memory, free))
    return Hardware(torch.__version__, torch.version.cuda, _driver(), tuple(gpus))


@dataclass(frozen=True)
class CTranslate2:
    """The CTranslate2 that is installed, how many CUDA devices it sees, and the NVIDIA driver's version."""

    version: str
    devices: int
    driver: str | None


def look_for_ctranslate2() -> CTranslate2:
    """Return what the engine faster-whisper computes with. Raises ``ModuleNotFoundError``."""
    import ctranslate2

    return CTranslate2(ctranslate2.__version__, ctranslate2.get_cuda_device_count(), _driver())


def _driver() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603  the words are ours
            [tool, "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.split()
    return lines[0] if lines else None
