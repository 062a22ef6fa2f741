"""Values that must not be repeated: known by the names of their fields, hidden wherever an object is shown."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

SECRET_WORDS = ("token", "secret", "password", "key", "url", "dsn")
"""Last words of the names of fields and settings that hold secrets, or addresses with a password in them."""

HIDDEN = "…"


def is_secret(name: str) -> bool:
    """Tell by its name whether a field or a setting holds a secret, or names the file of one."""
    return name.lower().removesuffix("_file").rpartition("_")[2] in SECRET_WORDS


class Discreet(Struct, frozen=True):
    """A Struct that shows its secrets to nobody: its repr ends up in logs, debuggers and assertions."""

    def __repr__(self) -> str:
        shown = (f"{name}={HIDDEN if hidden else repr(value)}" for name, value, hidden in self._shown())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, HIDDEN if hidden else value) for name, value, hidden in self._shown()]

    def _shown(self) -> Iterator[tuple[str, Any, bool]]:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            yield name, value, value is not None and is_secret(name)
