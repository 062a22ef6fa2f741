"""Who takes part, by name: ``ours``, ``ours-words``, ``ours@8``, ``faster-whisper-batched-int8`` and so on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final, Literal


@dataclass(frozen=True)
class Contender:
    """One engine with the settings that its name stands for.

    ``batch`` is how many windows are decoded at once at most, None for the engine's own way; ``precision`` is what
    it computes with, ``words`` asks for the place of each word.
    """

    name: str
    program: Literal["ours", "openai-whisper", "faster-whisper"]
    words: bool = False
    precision: Literal["auto", "float32", "int8"] = "auto"
    batch: int | None = None

    @property
    def measure(self) -> str:
        """The contender that it is compared to."""
        return "openai-whisper-words" if self.words else "openai-whisper"


BATCH: Final = 8
"""Windows that faster-whisper decodes at once where its name says ``batched`` and no number."""

KNOWN: Final = {
    each.name: each
    for each in (
        Contender("ours", "ours"),
        Contender("ours-float32", "ours", precision="float32"),
        Contender("openai-whisper", "openai-whisper"),
        Contender("faster-whisper", "faster-whisper"),
        Contender("faster-whisper-int8", "faster-whisper", precision="int8"),
        Contender("faster-whisper-batched", "faster-whisper", batch=BATCH),
        Contender("faster-whisper-batched-int8", "faster-whisper", precision="int8", batch=BATCH),
        Contender("ours-words", "ours", words=True),
        Contender("openai-whisper-words", "openai-whisper", words=True),
    )
}

DEFAULT: Final = tuple(name for name, each in KNOWN.items() if not each.words)
QUICK: Final = ("ours", "openai-whisper", "faster-whisper", "faster-whisper-int8")
RANDOM: Final = ("ours", "openai-whisper")
"""Those that are compared at random weights unless others are asked for: large models take long."""


def parse(name: str) -> Contender:
    """Return the contender of a name, ``@8`` after it for the size of a batch. Raises ``ValueError``."""
    base, at, size = name.partition("@")
    known = KNOWN.get(base)
    if known is None:
        raise ValueError(f"there is no contender {base!r}; there are {', '.join(KNOWN)}")
    if not at:
        return known
    if not size.isdecimal() or int(size) < 1 or not (known.program == "ours" or known.batch):
        raise ValueError(f"{name!r}: only ours and faster-whisper-batched have batches, of 1 or more")
    return replace(known, name=name, batch=int(size))


def admitted(wanted: Sequence[Contender]) -> tuple[list[Contender], list[str]]:
    """Return those of ``wanted`` that can run here, and a sentence for each that cannot."""
    kept, notes = [], []
    for each in wanted:
        if each.program == "faster-whisper" and find_spec("faster_whisper") is None:
            notes.append(f"{each.name} is left out: faster-whisper is not installed.")
        else:
            kept.append(each)
    return kept, notes
