"""What a benchmark found: a table, the facts under which it holds, and both as text and as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Cell = str | int | float | bool | None

_PACKAGES = (
    "project-w",
    "quart",
    "uvicorn",
    "tortoise-orm",
    "aiohttp",
    "openai-whisper",
    "torch",
    "faster-whisper",
    "ctranslate2",
    "textual",
)


@dataclass
class Report:
    """One table of results.

    ``columns`` carry their units in their names (``"median ms"``), ``notes`` say what was measured and how,
    ``environment`` holds the facts of the machine and of the versions, ``details`` what is in the JSON alone.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environment: Mapping[str, Cell] = field(default_factory=lambda: environment())
    details: Mapping[str, Any] = field(default_factory=dict)

    def add(self, *cells: Cell) -> None:
        """Append a row; ValueError when it does not have one cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"a row of {self.title!r} has {len(self.columns)} cells, not {len(cells)}")
        self.rows.append(cells)

    def to_json(self) -> str:
        """Return the report as JSON, each row as an object with the columns as keys."""
        document: dict[str, Any] = {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": self.notes,
            "environment": dict(self.environment),
            **({"details": dict(self.details)} if self.details else {}),
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """Return the report as a table in plain text, numbers to the right, notes and facts below."""
        cells = [list(self.columns), *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[n]) for row in cells) for n in range(len(self.columns))]
        numeric = [
            bool(self.rows) and all(isinstance(row[n], int | float | None) for row in self.rows)
            for n in range(len(self.columns))
        ]
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ).rstrip()
            for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        facts = ", ".join(f"{name} {_shown(fact)}" for name, fact in self.environment.items())
        return "\n".join([self.title, "", *lines, "", *self.notes, facts, ""])


def environment() -> dict[str, Cell]:
    """Return the facts without which figures cannot be compared: machine, versions, time in UTC."""
    facts: dict[str, Cell] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
