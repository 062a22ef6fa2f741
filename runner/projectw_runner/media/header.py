"""A look at a recording before the work: is there sound, at what rate, how long does it say it is."""

import errno
import re
import signal
import struct
from dataclasses import dataclass
from typing import Final

from projectw_runner.failures import JobFailure
from projectw_runner.media.launcher import FAILED
from projectw_runner.media.limits import MediaLimits

_FIRST_SAMPLE: Final = 44
"""Bytes of the WAV header that comes before the first frame."""

# Anchored: a title that quotes such a line is printed further to the right.
_DURATION: Final = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),", re.MULTILINE)
_GUESSED: Final = "Estimating duration from bitrate"
_SIGNALS: Final = (signal.SIGKILL, signal.SIGXCPU)
_MEASURED: Final = re.compile(r"^out_time_us=(\d+)$", re.MULTILINE)
_NO_STREAM: Final = ("matches no streams", "does not contain any stream")

_BROKEN_BOX: Final = "bwrap: "
"""How bubblewrap's own complaints begin; it ends with 1, as ffmpeg does."""

_STATUS_OF_LIMITS: Final = frozenset(
    {256 - errno.ENOMEM, *(-number for number in _SIGNALS), *(128 + number for number in _SIGNALS)}
)
"""ffmpeg's own status for a lack of memory, and that of a process which a limit has ended, in a box or not."""

UNREADABLE: Final = (
    "This file cannot be read as a recording: it is damaged, or no kind of audio or video that is known here. "
    "Playlists and other files that only name a recording are not accepted; upload the recording itself."
)
TOO_DEMANDING: Final = (
    "Reading this file takes more memory or time than a recording may; saving it again as WAV, FLAC or MP3 "
    "may help."
)
NO_FILE: Final = "What arrived at the runner is no ordinary file, so it was not opened."
NO_SOUND: Final = "This file holds no sound: it has no audio track, or the track is empty."


@dataclass(frozen=True)
class Header:
    """What the first frame and the container say. ``duration`` in seconds, None when nothing says it."""

    sample_rate: int
    channels: int
    duration: float | None
    duration_is_guessed: bool


def read_header(wav: bytes, said: str, status: int) -> Header:
    """Read the first frame as WAV, and what ffmpeg said of the container. Raises ``JobFailure``."""
    if len(wav) <= _FIRST_SAMPLE or wav[:4] != b"RIFF":
        raise _why_nothing_came(said, status)
    channels, sample_rate = struct.unpack_from("<HI", wav, 22)
    stated = _DURATION.search(said)
    duration = None
    if stated:
        hours, minutes, seconds = stated.groups()
        duration = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return Header(sample_rate, channels, duration, _GUESSED in said)


def read_measure(progress: str) -> float | None:
    """Return the seconds that the packets make together, None when they do not say."""
    stated = _MEASURED.findall(progress)
    return int(stated[-1]) / 1e6 if stated else None


def check_header(header: Header, file_bytes: int, limits: MediaLimits) -> None:
    """Raise ``JobFailure`` for a recording that is not worth starting."""
    if not limits.min_sample_rate <= header.sample_rate <= limits.max_sample_rate:
        raise JobFailure(
            "unsupported-media",
            f"The recording has {header.sample_rate} samples a second; between {limits.min_sample_rate} and "
            f"{limits.max_sample_rate} are accepted.",
        )
    if header.channels > limits.max_channels:
        raise JobFailure(
            "unsupported-media",
            f"The recording has {header.channels} channels; at most {limits.max_channels} are accepted.",
        )
    if header.duration is not None and not header.duration_is_guessed:
        check_length(header.duration, file_bytes, limits)


def check_length(seconds: float, file_bytes: int, limits: MediaLimits) -> None:
    """Raise ``JobFailure`` for a recording of ``seconds`` that is too long, for us or for its size."""
    if seconds > limits.max_seconds:
        raise JobFailure(
            "too-long",
            f"The recording is longer than the {limits.max_seconds / 3600:g} hours that are accepted here; "
            "cut it into parts.",
        )
    if seconds > limits.longest(file_bytes):
        raise JobFailure(
            "media-limits",
            f"A file of {file_bytes} bytes cannot honestly hold so long a recording, so it is not read further.",
        )


def was_limited(status: int) -> bool:
    """Return whether a limit on memory or time has ended ffmpeg."""
    return status in _STATUS_OF_LIMITS


def why_it_ended(status: int, said: str) -> JobFailure:
    """Return what to say when ffmpeg ended with another status than 0; ``said`` is never shown."""
    if status == FAILED or said.startswith(_BROKEN_BOX):
        return JobFailure(
            "decoder-broken",
            "This runner could not shut its decoder in, so it decoded nothing; its operator can look with "
            "'projectw-runner doctor'.",
            retryable=True,
        )
    if was_limited(status):
        return JobFailure("media-limits", TOO_DEMANDING)
    return JobFailure("unsupported-media", UNREADABLE)


def _why_nothing_came(said: str, status: int) -> JobFailure:
    if any(words in said for words in _NO_STREAM) or status == 0:
        return JobFailure("no-audio", NO_SOUND)
    return why_it_ended(status, said)
