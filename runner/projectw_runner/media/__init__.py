"""Recordings from strangers become samples in a confined ffmpeg process.

The data flow through the modules: ``limits`` says what is accepted, ``ffmpeg`` what is run, ``confinement`` in
which box, ``process`` runs and kills it, ``header`` looks before the work starts, ``recording`` reads the samples.
"""

from projectw_runner.media.ahead import RecordingClosed
from projectw_runner.media.confinement import Confinement, find_confinement
from projectw_runner.media.ffmpeg import find_ffmpeg
from projectw_runner.media.limits import MediaLimits
from projectw_runner.media.recording import Recording, open_recording

__all__ = [
    "Confinement",
    "MediaLimits",
    "Recording",
    "RecordingClosed",
    "find_confinement",
    "find_ffmpeg",
    "open_recording",
]
