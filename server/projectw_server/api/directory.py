"""Which door a request is for, known before the framework has looked at it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projectw_server.api.doors import Door

VARIABLE = "{id}"


class Directory:
    """The doors by path: a look-up or two, where matching every rule costs as much as some of the answers."""

    def __init__(self, doors: Iterable["Door"]) -> None:
        self._doors: dict[str, dict[str, Door]] = {}
        for door in doors:
            self._doors.setdefault(door.path, {})[door.method] = door
        self._positions = sorted(
            {path.split("/").index(VARIABLE) for path in self._doors if VARIABLE in path.split("/")}
        )

    def find(self, method: str, path: str) -> tuple[str | None, "Door | None"]:
        """Return the path's template and its door; None for a path, and for a method, that there is not."""
        template = self._template(path)
        if template is None:
            return None, None
        return template, self._doors[template].get("GET" if method == "HEAD" else method)

    def _template(self, path: str) -> str | None:
        if path in self._doors:
            return path
        parts = path.split("/")
        for position in self._positions:
            if position < len(parts) and parts[position]:
                candidate = "/".join([*parts[:position], VARIABLE, *parts[position + 1 :]])
                if candidate in self._doors:
                    return candidate
        return None
