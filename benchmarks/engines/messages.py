"""What a contender's process is asked and what it answers: one line of JSON each."""

import msgspec


class Load(msgspec.Struct, frozen=True, tag=True):
    """Be this contender, with these weights.

    ``models_dir`` holds ``<model>.pt``; ``converted`` is the same as a folder of CTranslate2, where that is needed.
    ``digest``, if any, is the SHA-256 of weights that nobody has published.
    """

    contender: str
    model: str
    models_dir: str
    converted: str | None
    digest: str | None
    device: str
    language: str
    threads: int


class Transcribe(msgspec.Struct, frozen=True, tag=True):
    """Transcribe a ``.npy`` file: 16 kHz, mono, float32; with ``seconds``, only the beginning of it."""

    path: str
    seconds: float | None = None


class Memory(msgspec.Struct, frozen=True, tag=True):
    """Say how much memory of the graphics card was taken at most."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is there; ``device`` is where it computes, for people."""

    device: str


class Transcribed(msgspec.Struct, frozen=True, tag=True):
    """The text, the seconds on the clock and the processor's seconds (user and system, all threads).

    ``tokens`` were decoded for it, those of discarded tries included.
    """

    text: str
    wall: float
    cpu: float
    tokens: int


class Taken(msgspec.Struct, frozen=True, tag=True):
    """The most bytes of the graphics card that torch has given out; None where it was not torch that computed."""

    gpu_bytes: int | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It did not work; the last line of the reason."""

    reason: str


Request = Load | Transcribe | Memory
Reply = Loaded | Transcribed | Taken | Failed
