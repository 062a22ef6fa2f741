"""A recording as samples, read while it is decoded."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.failures import JobFailure
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.confinement import Confinement
from projectw_runner.media.header import (
    NO_SOUND,
    TOO_DEMANDING,
    Header,
    check_header,
    check_length,
    read_header,
    why_it_ended,
)
from projectw_runner.media.limits import BYTES_PER_SAMPLE, SAMPLE_RATE, MediaLimits, limited
from projectw_runner.media.process import Process, Stalled

_LOOKED_AT: Final = 65_536
"""Bytes of the first frame that are read: its header and some samples."""


class RecordingClosed(JobFailure):
    """The recording was closed while an engine read from it: the job was stopped from outside."""

    def __init__(self) -> None:
        super().__init__("cancelled", "The work on this recording was stopped.")


class Recording:
    """The samples of one file, decoded as they are read. Satisfies ``engines.Samples``.

    ``duration`` is the length in seconds that the file states, None when it states none; it may be wrong.
    Reading belongs to one thread; ``close`` may be called from any.
    """

    def __init__(self, process: Process, header: Header, file_bytes: int, limits: MediaLimits) -> None:
        self.duration = header.duration
        self._process = process
        self._file_bytes = file_bytes
        self._limits = limits
        self._samples = 0
        self._ended = False
        self._closed = False
        self._reading = threading.Lock()

    @property
    def position(self) -> float:
        """Seconds read so far; after the last sample, the length of the recording."""
        return self._samples / SAMPLE_RATE

    def read(self, count: int) -> NDArray[np.float32]:
        """Return the next ``count`` samples in -1 to 1, fewer at the end, none after it.

        Blocks. Raises ``JobFailure``: ``RecordingClosed`` after ``close``, ``no-audio`` when not one sample came,
        ``too-long``, ``media-limits``, ``unsupported-media``.
        """
        with self._reading:
            pcm = self._read_bytes(count * BYTES_PER_SAMPLE)
        samples = np.frombuffer(pcm, np.dtype("<i2"), len(pcm) // BYTES_PER_SAMPLE)
        self._samples += len(samples)
        check_length(self.position, self._file_bytes, self._limits)
        return samples.astype(np.float32) / 32768.0

    def close(self) -> None:
        """Kill ffmpeg and all that belongs to it. A blocked ``read`` ends at once."""
        self._closed = True
        self._process.kill()
        with self._reading:
            self._process.release()

    def _read_bytes(self, wanted: int) -> bytearray:
        pcm = bytearray()
        while len(pcm) < wanted and not self._ended:
            if self._closed:
                raise RecordingClosed
            piece = self._piece(wanted - len(pcm))
            if not piece:
                self._end(self._samples * BYTES_PER_SAMPLE + len(pcm))
            pcm += piece
        return pcm

    def _piece(self, most: int) -> bytes:
        try:
            return self._process.read(most, self._limits.max_stall_seconds)
        except Stalled as stalled:
            raise JobFailure("media-limits", TOO_DEMANDING) from stalled

    def _end(self, total: int) -> None:
        """Note the end of the output; raise when it is not the end of an honest recording."""
        try:
            status = self._process.finish(self._limits.max_stall_seconds)
        except Stalled as stalled:
            raise JobFailure("media-limits", TOO_DEMANDING) from stalled
        if self._closed:
            raise RecordingClosed
        if status:
            raise why_it_ended(status)
        if not total:
            raise JobFailure("no-audio", NO_SOUND)
        self._ended = True


@asynccontextmanager
async def open_recording(
    path: Path, *, limits: MediaLimits, ffmpeg: Path, confinement: Confinement
) -> AsyncIterator[Recording]:
    """Look at the file, then decode it for as long as the context lasts; nothing of ffmpeg outlives it.

    Raises ``JobFailure`` for what is no recording: ``unsupported-media``, ``no-audio``, ``too-long``,
    ``media-limits``.
    """
    file_bytes = (await asyncio.to_thread(path.stat)).st_size
    prefix, name = confinement.command(ffmpeg, path)

    def start(arguments: list[str]) -> Process:
        return Process(limited([*prefix, *arguments], limits), tool.environment())

    header = await _look(start(tool.looking(name, limits)), limits)
    check_header(header, file_bytes, limits)
    recording = Recording(start(tool.decoding(name, limits)), header, file_bytes, limits)
    try:
        yield recording
    finally:
        recording.close()


async def _look(process: Process, limits: MediaLimits) -> Header:
    looking = asyncio.get_running_loop().run_in_executor(None, _first_frame, process, limits)
    try:
        return await asyncio.shield(looking)
    except asyncio.CancelledError:
        process.kill()
        raise


def _first_frame(process: Process, limits: MediaLimits) -> Header:
    try:
        wav = bytearray()
        while len(wav) < _LOOKED_AT and (piece := process.read(_LOOKED_AT, limits.max_stall_seconds)):
            wav += piece
        if len(wav) >= _LOOKED_AT:
            process.kill()
        return read_header(bytes(wav), process.said, process.finish(limits.max_stall_seconds))
    except Stalled as stalled:
        raise JobFailure("media-limits", TOO_DEMANDING) from stalled
    finally:
        process.kill()
        process.release()
