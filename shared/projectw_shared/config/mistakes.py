"""What is wrong in a configuration, said so that it can be put right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from projectw_shared.text import safe

Place: TypeAlias = tuple[str | int, ...]
"""The way to a value: ``("server", "limits", 0)``."""


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    ``path`` is dotted (``server.port``, empty for the file as a whole), ``line`` counts from 1 and is None
    where no line of the file is to blame, ``nearest`` is the known key that was probably meant.
    """

    path: str
    line: int | None
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        what = f"{self.path}: " if self.path else ""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return safe(f"{where}{what}{self.message}{hint}")


class ConfigError(Exception):
    """A configuration that cannot be used: all its mistakes at once, in the order of the file.

    A program that gets it starts nothing and leaves with code 78.
    """

    def __init__(self, mistakes: Sequence[Mistake], file: Path | None = None) -> None:
        unique = dict.fromkeys(mistakes)
        self.mistakes = sorted(unique, key=lambda mistake: (mistake.line is None, mistake.line or 0))
        self.file = file
        super().__init__(self._text())

    def _text(self) -> str:
        count = len(self.mistakes)
        name = safe(str(self.file)) if self.file else "the configuration"
        noun = "mistake" if count == 1 else "mistakes"
        return "\n".join([f"{name}: {count} {noun}", *(f"  {mistake}" for mistake in self.mistakes)])


def dotted(place: Place) -> str:
    """Write ``("server", "domains", 2)`` as ``server.domains[2]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")
