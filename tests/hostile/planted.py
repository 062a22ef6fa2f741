"""Secrets that are planted in an installation, and where each of them may be found again: in most cases nowhere."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.leftovers import contents

WORDS: Final = ("text", "file name", "prompt")
"""What people entrust to the service: kept in the database, and told to no log."""


@dataclass(frozen=True)
class Secret:
    """A value that must be found nowhere but in files whose names are ``kept_in``."""

    name: str
    value: str
    kept_in: frozenset[str] = frozenset()

    def traces(self) -> list[str]:
        """Return what gives it away: itself, and of a signed token the signature, without which it is worth nothing."""
        parts = self.value.split(".")
        return [self.value, parts[2]] if len(parts) == 3 and self.value.startswith("ey") else [self.value]


@dataclass
class Planted:
    """All that was planted. A new kind of secret is one line: where it comes to be, ``add`` it."""

    secrets: list[Secret] = field(default_factory=list)

    def make(self, name: str, *, prefix: str = "", kept_in: frozenset[str] = frozenset()) -> str:
        """Plant a value that stands nowhere else in the world, and return it."""
        return self.add(name, f"{prefix}Plant{secrets.token_hex(16)}", kept_in=kept_in)

    def add(self, name: str, value: str, *, kept_in: frozenset[str] = frozenset()) -> str:
        """Plant a value that a program has made."""
        assert len(value) >= 16, name
        self.secrets.append(Secret(name, value, kept_in))
        return value

    def found_in(self, folder: Path) -> list[str]:
        """Return where something was found that should not be there, by name of the secret and of the file."""
        return [
            f"{secret.name} in {path.relative_to(folder)}: …{_around(content, trace.encode())}…"
            for path, content in contents(folder)
            for secret in self.secrets
            for trace in secret.traces()
            if trace.encode() in content and path.name not in secret.kept_in
        ]


def _around(content: bytes, trace: bytes) -> str:
    at = content.find(trace)
    return content[max(0, at - 120) : at].decode(errors="replace")
