"""A list of records: one row each, its columns as wide as there is room for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable

from projectw_shared.text import fit, safe

NEAR_THE_END = 8
"""Rows before the last at which more are asked for."""

LEAST = 8
"""Cells that an elastic column has at least."""


@dataclass(frozen=True)
class Column:
    """``width`` in cells, 0 for one that shares what is left; ``from_width``: left out of narrower tables."""

    title: str
    width: int = 0
    from_width: int = 0
    right: bool = False


@dataclass(frozen=True)
class Toned:
    """Text with a tone: ``good``, ``bad``, ``notice`` or ``faint``."""

    text: str
    tone: str


Cell = str | Toned


class RecordTable(DataTable[Text]):
    """Records by their ids, in the order in which they were given."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "record-table--good",
        "record-table--bad",
        "record-table--notice",
        "record-table--faint",
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("home,g", "scroll_top", "First", show=False),
        Binding("end,G", "scroll_bottom", "Last", show=False),
        Binding("left,ctrl+pageup", "screen.tab(-1)", "Tab before", show=False),
        Binding("right,ctrl+pagedown", "screen.tab(1)", "Next tab", show=False),
    ]

    class Moved(Message):
        """The cursor is on another record, or its record has changed."""

        def can_replace(self, message: Message) -> bool:
            """Drop all but the last."""
            return isinstance(message, RecordTable.Moved)

    class EndNeared(Message):
        """The cursor comes near the last row."""

        def can_replace(self, message: Message) -> bool:
            """Drop all but the last."""
            return isinstance(message, RecordTable.EndNeared)

    def __init__(self, columns: Iterable[Column]) -> None:
        super().__init__(cursor_type="row", cursor_foreground_priority="renderable")
        self._all = tuple(columns)
        self._rows: dict[str, tuple[Cell, ...]] = {}

    @property
    def selected(self) -> str | None:
        """The id of the record under the cursor."""
        if not self.row_count or not self.is_valid_row_index(self.cursor_row):
            return None
        return self.coordinate_to_cell_key(Coordinate(self.cursor_row, 0)).row_key.value

    @property
    def is_near_the_end(self) -> bool:
        """Whether the cursor is on one of the last rows."""
        return self.cursor_row >= self.row_count - NEAR_THE_END

    def show(self, rows: Mapping[str, tuple[Cell, ...]]) -> None:
        """Show these rows and no others; the cursor stays on its record if that is still there."""
        known, self._rows = self._rows, dict(rows)
        if known == self._rows:
            return
        if list(known) == list(self._rows) and self.row_count == len(known):
            for key, cells in self._rows.items():
                if cells != known[key]:
                    for n, text in enumerate(self._drawn(cells)):
                        self.update_cell_at(Coordinate(self.get_row_index(key), n), text)
        else:
            self._fill(self.selected)
        self.post_message(self.Moved())

    def on_mount(self) -> None:
        """Keep the colours those of the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._rebuild())

    def on_resize(self, event: Resize) -> None:
        """Share the width out anew."""
        self._rebuild()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Say that the cursor has moved, and that the end is near."""
        event.stop()
        self.post_message(self.Moved())
        if self.is_near_the_end:
            self.post_message(self.EndNeared())

    def _shown(self) -> list[tuple[int, Column]]:
        return [(n, each) for n, each in enumerate(self._all) if self.size.width >= each.from_width]

    def _widths(self) -> list[int]:
        shown = [column for _, column in self._shown()]
        room = self.scrollable_content_region.width - 2 * self.cell_padding * len(shown)
        left = room - sum(column.width for column in shown)
        elastic = [column for column in shown if not column.width]
        share = max(left // len(elastic), LEAST) if elastic else 0
        # What does not divide goes to the last one.
        rest = max(left - share * len(elastic), 0)
        return [column.width or share + (rest if column is elastic[-1] else 0) for column in shown]

    def _rebuild(self) -> None:
        cursor = self.selected
        self.clear(columns=True)
        for (_, column), width in zip(self._shown(), self._widths(), strict=True):
            self.add_column(Text(column.title, justify="right" if column.right else "left"), width=width)
        self._fill(cursor)

    def _fill(self, cursor: str | None) -> None:
        if not self.columns:
            return  # not laid out yet: the first resize adds every row
        self.clear()
        for key, cells in self._rows.items():
            self.add_row(*self._drawn(cells), key=key)
        if cursor in self._rows:
            self.move_cursor(row=self.get_row_index(cursor), animate=False)

    def _drawn(self, cells: tuple[Cell, ...]) -> list[Text]:
        return [
            self._text(cells[n], width, right=column.right)
            for (n, column), width in zip(self._shown(), self._widths(), strict=True)
        ]

    def _text(self, cell: Cell, width: int, *, right: bool) -> Text:
        words, tone = (cell.text, cell.tone) if isinstance(cell, Toned) else (cell, "")
        style: Any = self.get_component_rich_style(f"record-table--{tone}", partial=True) if tone else ""
        text = Text(fit(safe(words), width), style=style, no_wrap=True)
        text.justify = "right" if right else "left"
        return text
