"""The log of the terminal: one line for each request, in a file, because the screen is taken."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from projectw_shared.http import Exchange
from projectw_shared.text import safe


class RequestLog:
    """Appends to ``file``, which is made for its owner alone; called with each exchange.

    Raises OSError at once for a file that cannot be written; later on a line that finds no room is left out, for
    the work goes on without it.
    """

    def __init__(self, file: Path, form: Literal["text", "json"]) -> None:
        self._file = file
        self._form = form
        self._append("")

    def __call__(self, exchange: Exchange) -> None:
        """Write the line of an exchange."""
        line: dict[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "level": "info",
            "event": "request",
            **exchange.fields(),
        }
        with suppress(OSError):
            self._append(_render(line, self._form))

    def _append(self, text: str) -> None:
        # Opened anew for each line: whoever rotates the file need not tell us.
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(text)


def _render(line: dict[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(line) + "\n"
    timestamp, level, event, *rest = line.items()
    values = " ".join(f"{name}={safe(str(value))}" for name, value in rest)
    return f"{timestamp[1]} [{level[1]}] {event[1]} {values}\n"
