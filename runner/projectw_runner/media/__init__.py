"""Recordings from strangers become samples in a confined ffmpeg process.

The data flow through the modules: ``limits`` says what is accepted, ``ffmpeg`` what is run, ``confinement`` in
which box, ``trial`` which of those work here, ``launcher`` and ``seccomp`` how a process gives up its rights,
``process`` runs and kills it, ``header`` looks before the work starts, ``recording`` reads the samples.
"""

from projectw_runner.media.ahead import RecordingClosed
from projectw_runner.media.confinement import Bubblewrap, Confinement, Kernel, Limits, Part, Protections
from projectw_runner.media.ffmpeg import Reading, find_ffmpeg
from projectw_runner.media.limits import MediaLimits
from projectw_runner.media.recording import Recording, open_recording
from projectw_runner.media.trial import Wanted, find_confinement

__all__ = [
    "Bubblewrap",
    "Confinement",
    "Kernel",
    "Limits",
    "MediaLimits",
    "Part",
    "Protections",
    "Reading",
    "Recording",
    "RecordingClosed",
    "Wanted",
    "find_confinement",
    "find_ffmpeg",
    "open_recording",
]
