"""A recording as samples, read while it is decoded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projectw_runner.failures import JobFailure
from projectw_runner.media import ffmpeg as tool
from projectw_runner.media.ahead import ReadAhead
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
            raise why_it_ended(status)
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
