"""A recording as samples, read while it is decoded."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.failures import JobFailure
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.ahead import ReadAhead
from projectw_runner.media.confinement import Confinement
from projectw_runner.media.header import (
    NO_FILE,
    NO_SOUND,
    TOO_DEMANDING,
    Header,
    check_header,
    check_length,
    read_header,
    read_measure,
    was_limited,
    why_it_ended,
)
from projectw_runner.media.limits import BYTES_PER_SAMPLE, SAMPLE_RATE, Bounds, MediaLimits
from projectw_runner.media.process import Process, Stalled

_LOOKED_AT: Final = 65_536
"""Bytes of the first frame that are read: its header and some samples."""

_MOST_SAID: Final = 1 << 20
"""Bytes that ffmpeg may say of a header; a file of packets that are all wrong makes it say a line for each."""


class Recording:
    """The samples of one file, decoded ahead of their reader by a bounded length. Satisfies ``engines.Samples``.

    ``duration`` is the length in seconds that the file states, None when it states none; it may be wrong.
    Reading belongs to one thread; ``close`` may be called from any.
    """

    def __init__(self, process: Process, header: Header, file_bytes: int, limits: MediaLimits) -> None:
        self.duration = header.duration
        self._process = process
        self._file_bytes = file_bytes
        self._limits = limits
        self._samples = 0
        self._has_sound = False
        self._ahead = ReadAhead(self._decode, process.kill, capacity=limits.read_ahead_bytes)

    @property
    def position(self) -> float:
        """Seconds read so far; after the last sample, the length of the recording."""
        return self._samples / SAMPLE_RATE

    def read(self, count: int) -> NDArray[np.float32]:
        """Return the next ``count`` samples in -1 to 1, fewer at the end, none after it.

        Blocks. Raises ``JobFailure``: ``RecordingClosed`` after ``close``, ``no-audio`` when not one sample came,
        ``too-long``, ``media-limits``, ``unsupported-media``.
        """
        pcm = self._ahead.read(count * BYTES_PER_SAMPLE)
        samples = np.frombuffer(pcm, np.dtype("<i2"), len(pcm) // BYTES_PER_SAMPLE)
        self._samples += len(samples)
        check_length(self.position, self._file_bytes, self._limits)
        return samples.astype(np.float32) / 32768.0

    def close(self) -> None:
        """Kill ffmpeg and all that belongs to it. A blocked ``read`` ends at once."""
        self._ahead.close()
        self._process.release()

    def _decode(self, most: int) -> bytes:
        """Return samples as ffmpeg wrote them, none at the end. In the thread that reads ahead.

        That thread asks when there is room, so ffmpeg waiting for a slow reader does not count as stalled.
        """
        patience = self._limits.max_stall_seconds
        try:
            if pcm := self._process.read(most, patience):
                self._has_sound = True
                return pcm
            status = self._process.finish(patience)
        except Stalled as stalled:
            raise JobFailure("media-limits", TOO_DEMANDING) from stalled
        if status:
            raise why_it_ended(status, self._process.said)
        if not self._has_sound:
            raise JobFailure("no-audio", NO_SOUND)
        return b""


@asynccontextmanager
async def open_recording(
    path: Path, *, limits: MediaLimits, ffmpeg: Path, confinement: Confinement
) -> AsyncIterator[Recording]:
    """Look at the file, then decode it for as long as the context lasts; nothing of ffmpeg outlives it.

    Raises ``JobFailure`` for what is no recording: ``unsupported-media``, ``no-audio``, ``too-long``,
    ``media-limits``.
    """
    source = Source(path, ffmpeg, confinement)
    file_bytes = await asyncio.to_thread(source.size)
    reading = confinement.reading
    looking = [
        source.start(tool.looking(reading, limits), limits.for_looking(file_bytes), most_said=_MOST_SAID)
    ]
    if limits.may_unfold(file_bytes):
        looking.append(source.start(tool.measuring(reading, limits), limits.for_measuring(file_bytes)))
    header, measured = await _look(looking, limits)
    check_header(header, file_bytes, limits)
    if measured is not None:
        check_length(measured, file_bytes, limits)
    bounds = limits.for_decoding(file_bytes, header.duration if measured is None else measured)
    process = source.start(tool.decoding(reading, limits), bounds)
    recording = Recording(process, header, file_bytes, limits)
    try:
        yield recording
    finally:
        recording.close()


class Source:
    """A file that ffmpeg gets as its standard input: no name of it, and nothing but a regular file."""

    def __init__(self, path: Path, ffmpeg: Path, confinement: Confinement) -> None:
        self._path = path
        self._ffmpeg = ffmpeg
        self._confinement = confinement

    def size(self) -> int:
        """Return the bytes of the file. Raises ``JobFailure`` for a link, a device or a pipe in its place."""
        with self._opened() as file:
            return os.fstat(file).st_size

    def start(self, arguments: list[str], bounds: Bounds, most_said: int | None = None) -> Process:
        """Return ffmpeg at work on the file from its beginning."""
        command = self._confinement.command(self._ffmpeg, arguments, bounds)
        with self._opened() as file:
            return Process(command, tool.environment(), stdin=file, most_said=most_said)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise JobFailure("unsupported-media", NO_FILE) from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise JobFailure("unsupported-media", NO_FILE)
            yield file
        finally:
            os.close(file)


async def _look(processes: list[Process], limits: MediaLimits) -> tuple[Header, float | None]:
    looking = asyncio.get_running_loop().run_in_executor(None, _first_look, processes, limits)
    try:
        return await asyncio.shield(looking)
    except asyncio.CancelledError:
        for process in processes:
            process.kill()
        raise


def _first_look(processes: list[Process], limits: MediaLimits) -> tuple[Header, float | None]:
    """Return what the first process says of the first frame, and the second, if there is one, of the length."""
    patience = limits.max_stall_seconds
    try:
        header = _first_frame(processes[0], patience)
        return header, _length(processes[1], patience) if len(processes) > 1 else None
    except Stalled as stalled:
        raise JobFailure("media-limits", TOO_DEMANDING) from stalled
    finally:
        for process in processes:
            process.kill()
            process.release()


def _first_frame(process: Process, patience: float) -> Header:
    wav = bytearray()
    while len(wav) < _LOOKED_AT and (piece := process.read(_LOOKED_AT, patience)):
        wav += piece
    if len(wav) >= _LOOKED_AT:
        process.kill()
    return read_header(bytes(wav), process.said, process.finish(patience))


def _length(process: Process, patience: float) -> float | None:
    progress = b""
    while piece := process.read(_LOOKED_AT, patience):
        progress = (progress + piece)[-_LOOKED_AT:]
    status = process.finish(patience)
    if was_limited(status):
        raise why_it_ended(status, process.said)
    return read_measure(progress.decode(errors="replace"))
