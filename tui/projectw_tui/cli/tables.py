"""Lists for people: columns as wide as what they hold, foreign text made harmless and kept short."""

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime

import msgspec

from projectw_shared.text import columns, fit, safe
from projectw_tui.cli.context import put
from projectw_tui.display import minute

LEAST = 12
"""Characters that a column is not shortened below."""


def put_table(
    titles: Sequence[str], rows: Sequence[Sequence[object]], *, elastic: Sequence[int] = ()
) -> None:
    """Print ``rows`` under ``titles``; where a terminal is too narrow, the ``elastic`` columns give way."""
    put(*table(titles, rows, terminal_width(), elastic=elastic))


def table(
    titles: Sequence[str], rows: Sequence[Sequence[object]], width: int | None, *, elastic: Sequence[int] = ()
) -> list[str]:
    """Return the lines of a table in at most ``width`` characters, as far as the ``elastic`` columns allow."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(columns(text) for text in column) for column in zip(titles, *cells, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - (width or 10**9)
    for column in sorted(elastic, key=lambda column: -widths[column]):
        given = max(0, min(over, widths[column] - LEAST))
        widths[column] -= given
        over -= given
    return [
        "  ".join(_padded(fit(text, room), room) for text, room in zip(line, widths, strict=True)).rstrip()
        for line in ([*titles], *cells)
    ]


def facts(pairs: dict[str, object]) -> list[str]:
    """Return a line for each fact that there is, its name in front."""
    told = {name: _cell(value) for name, value in pairs.items()}
    longest = max(map(len, told), default=0) + 3
    return [f"{name + ':':<{longest}}{value}" for name, value in told.items() if value]


def json_of(value: object) -> bytes:
    """Return ``value`` as a JSON document for people and programs."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is, None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _cell(value: object) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, datetime):
        return minute(value)
    return safe(str(value)) if value is not True else "yes"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))
