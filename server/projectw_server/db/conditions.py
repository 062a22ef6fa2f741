"""Which rows are wanted: conditions that are put together one by one, each with its values."""

from typing import Any


class Conditions:
    """Conditions that must all hold; as text they stand behind WHERE, and ``values`` are what they ask for."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition that has ``{}`` in the place of each of its ``values``."""
        first = len(self.values) + 1
        self._parts.append(condition.format(*(f"${n}" for n in range(first, first + len(values)))))
        self.values += values

    def add_one_of(self, column: str, values: list[Any]) -> None:
        """Want rows that have one of ``values`` there; without any, all rows."""
        if values:
            self.add(f"{column} IN ({', '.join('{}' for _ in values)})", *values)

    def __str__(self) -> str:
        return " AND ".join(self._parts) or "TRUE"
