"""Which ffmpeg runs, and what it is told."""

import os
import shutil
from enum import Enum
from pathlib import Path
from typing import Final

from projectw_runner.failures import JobFailure
from projectw_runner.media.limits import SAMPLE_RATE, MediaLimits

DEMUXERS: Final = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dss", "eac3", "flac", "flv", "matroska",
    "mov", "mp3", "mpeg", "mpegts", "ogg", "tta", "w64", "wav", "wv",
)  # fmt: skip
"""Containers that hold what they play. Playlists, scripts, image sequences and subtitles name other files."""

DECODERS: Final = (
    "aac", "aac_latm", "ac3", "ac3_fixed", "alac", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb",
    "ape", "cook", "dca", "dss_sp", "eac3", "flac", "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms",
    "ilbc", "mace3", "mace6", "mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "nellymoser",
    "opus", "libopus", "qcelp", "qdm2", "s302m", "speex", "libspeex", "truehd", "truespeech", "tta", "vorbis",
    "libvorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
    "adpcm_g722", "adpcm_g726", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha",
    "pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_f16le", "pcm_f24le", "pcm_f32be", "pcm_f32le", "pcm_f64be",
    "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar", "pcm_s24be",
    "pcm_s24le", "pcm_s24le_planar", "pcm_s32be", "pcm_s32le", "pcm_s32le_planar", "pcm_s64be", "pcm_s64le",
    "pcm_s8", "pcm_s8_planar", "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le",
    "pcm_u8",
)  # fmt: skip
"""Sound alone: the picture's decoders, most of a codec library's weak spots, are never opened."""


def find_ffmpeg() -> Path:
    """Return the ffmpeg on the PATH, else the one that imageio-ffmpeg carries. Raises ``JobFailure``."""
    if found := shutil.which("ffmpeg"):
        return Path(found)
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as missing:
        raise JobFailure(
            "decoder-missing",
            "This runner has no ffmpeg; its operator can install the package ffmpeg or imageio-ffmpeg.",
            retryable=True,
        ) from missing


def environment() -> dict[str, str]:
    """Return all that ffmpeg sees of the environment: nothing of ours but where libraries are.

    Each malloc arena takes address space, which is what the memory limit counts.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1", "MALLOC_ARENA_MAX": "2"}


class Reading(Enum):
    """How ffmpeg gets at the recording, which is always its standard input: its protocol, and the name in that.

    By the descriptor no file can be opened at all, neither by ffmpeg nor for a file that names another. ffmpeg
    knows it from 6.0 on.
    """

    DESCRIPTOR = ("fd", "fd:")
    FILE = ("file", "file:/proc/self/fd/0")


def looking(reading: Reading, limits: MediaLimits) -> list[str]:
    """Return arguments that write the first frame, as it was decoded, as a WAV file to standard output."""
    return [
        *_input(reading, limits, loglevel="info"),
        *("-frames:a", "1", "-c:a", "pcm_s16le", "-map_metadata", "-1", "-bitexact", "-f", "wav", "pipe:1"),
    ]


def measuring(reading: Reading, limits: MediaLimits) -> list[str]:
    """Return arguments that go through the packets without decoding, and write how far it is to standard output."""
    return [
        *_input(reading, limits, loglevel="quiet"),
        *("-c", "copy", "-f", "null", "-progress", "pipe:1", "-"),
    ]


def decoding(reading: Reading, limits: MediaLimits) -> list[str]:
    """Return arguments that write 16 kHz mono samples of 16 bits to standard output."""
    return [
        *_input(reading, limits, loglevel="fatal"),
        *("-t", str(limits.max_seconds + 1), "-fs", str(limits.max_output_bytes)),
        *("-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"),
    ]


def _input(reading: Reading, limits: MediaLimits, *, loglevel: str) -> list[str]:
    protocol, name = reading.value
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", loglevel, "-threads", "1"),
        *("-format_whitelist", ",".join(DEMUXERS), "-codec_whitelist", ",".join(DECODERS)),
        *("-protocol_whitelist", protocol, "-max_streams", str(limits.max_streams)),
        *("-i", name, "-map", "0:a:0", "-vn", "-sn", "-dn"),
    ]
