"""The list of jobs: one row each, changed cell by cell as news arrive."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable
from textual.widgets.data_table import CellDoesNotExist, ColumnKey, RowKey

from projectw_shared.jobs import JobState
from projectw_shared.messages import Job
from projectw_shared.text import fit, safe
from projectw_tui.display import ICONS, age, bar, clock, in_utc, percent, state_word, waiting

NARROW = 100
"""Cells of width below which model and language are left out."""

BAR = 8

COLUMNS: dict[str, tuple[str, int]] = {
    "state": (" State", 13),
    "file": ("File", 0),
    "progress": ("Progress", BAR + 5),
    "left": ("Left", 6),
    "length": ("Length", 7),
    "model": ("Model", 9),
    "language": ("Lang", 4),
    "age": ("Age", 4),
}
"""Key → title and width; the file's name takes what is left."""

WIDE_ONLY = ("model", "language")

NEAR_THE_END = 8
"""Rows before the last at which older jobs are asked for."""


@dataclass(frozen=True)
class Sending:
    """A recording on its way to the server: a row of the list before there is a job.

    ``fraction`` is None while it waits for its turn; ``error`` says why it was given up.
    """

    key: str
    file_name: str
    fraction: float | None = None
    error: str | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))


Entry = Job | Sending


def key_of(entry: Entry) -> str:
    """Return what names the row of ``entry``."""
    return entry.id if isinstance(entry, Job) else entry.key


@dataclass(frozen=True)
class FileCell:
    """A file's name with the place of its row, since the table sorts by what its cells hold."""

    text: Text
    order: tuple[datetime, str]

    def __rich__(self) -> RenderableType:
        """Return what is drawn."""
        return self.text


class JobTable(DataTable[Any]):
    """Jobs and uploads, newest first."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "job-table--queued",
        "job-table--running",
        "job-table--done",
        "job-table--failed",
        "job-table--faint",
        "job-table--mark",
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", tooltip="Read the transcript", key_display="⏎"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("home,g", "scroll_top", "First", show=False),
        Binding("end,G", "scroll_bottom", "Last", show=False),
    ]

    class Opened(Message):
        """A row was chosen."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor is on another row, or its row has changed."""

        def can_replace(self, message: Message) -> bool:
            """Drop all but the last."""
            return isinstance(message, JobTable.Moved)

    class EndNeared(Message):
        """The cursor comes near the last row."""

        def can_replace(self, message: Message) -> bool:
            """Drop all but the last."""
            return isinstance(message, JobTable.EndNeared)

    def __init__(self) -> None:
        super().__init__(
            cursor_type="row", zebra_stripes=False, id="jobs", cursor_foreground_priority="renderable"
        )
        self.entries: dict[str, Entry] = {}
        self.marked: set[str] = set()
        self._wide: bool | None = None

    # --- what a screen asks and says ----------------------------------------------------------------------

    @property
    def selected(self) -> Entry | None:
        """The entry under the cursor."""
        if not self.row_count or not self.is_valid_row_index(self.cursor_row):
            return None
        return self.entries.get(
            str(self.coordinate_to_cell_key(Coordinate(self.cursor_row, 0)).row_key.value)
        )

    def chosen(self) -> list[Entry]:
        """Return the marked entries, else the one under the cursor."""
        marked = [entry for key, entry in self.entries.items() if key in self.marked]
        if marked:
            return marked
        return [self.selected] if self.selected is not None else []

    def put(self, *entries: Entry) -> None:
        """Add entries or change them; a row that is there keeps its place and only its changed cells are drawn."""
        added = False
        for entry in entries:
            key = key_of(entry)
            known = self.entries.get(key)
            self.entries[key] = entry
            if known is None:
                added = True
                self.add_row(*self._cells(entry).values(), key=key)
            elif known != entry:
                self._change(key, entry)
        if added:
            self._sort()
        if entries:
            self.post_message(self.Moved())

    def drop(self, key: str) -> None:
        """Take an entry out."""
        self.marked.discard(key)
        if self.entries.pop(key, None) is not None:
            self.remove_row(key)
            self.post_message(self.Moved())

    def replace_all(self, entries: list[Entry]) -> None:
        """Show these and no others; the cursor stays on its entry if that is still there."""
        new = {key_of(entry): entry for entry in entries}
        for key in [key for key in self.entries if key not in new]:
            self.drop(key)
        self.put(*new.values())

    def toggle_mark(self) -> None:
        """Mark the entry under the cursor, or take its mark away, and go one down."""
        entry = self.selected
        if entry is None:
            return
        self.marked ^= {key_of(entry)}
        self._change(key_of(entry), entry)
        self.action_cursor_down()

    def clear_marks(self) -> None:
        """Take every mark away."""
        marked, self.marked = self.marked, set()
        for key in marked & self.entries.keys():
            self._change(key, self.entries[key])

    # --- how it is drawn ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Keep the ages true, and the colours those of the theme."""
        self.set_interval(15, self._update_ages)
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._redraw())

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit."""
        wide = event.size.width >= NARROW
        if wide != self._wide:
            self._wide = wide
            self._rebuild()
        width = self._file_width()
        column = next(column for key, column in self.columns.items() if key.value == "file")
        if column.width != width:
            column.width = width
            self._redraw()
        # The detail below grows with an error's words and takes rows away, perhaps the one it speaks of.
        self.call_after_refresh(self._scroll_cursor_into_view)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Say that a row was chosen."""
        event.stop()
        self.post_message(self.Opened(str(event.row_key.value)))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Say that the cursor has moved, and that the end is near."""
        event.stop()
        self.post_message(self.Moved())
        if event.cursor_row >= self.row_count - NEAR_THE_END:
            self.post_message(self.EndNeared())

    def _shown_columns(self) -> list[str]:
        return [key for key in COLUMNS if self._wide or key not in WIDE_ONLY]

    def _file_width(self) -> int:
        shown = self._shown_columns()
        others = sum(COLUMNS[key][1] for key in shown) + 2 * self.cell_padding * len(shown)
        return max(self.scrollable_content_region.width - others, 12)

    def _rebuild(self) -> None:
        cursor = self.selected
        self.clear(columns=True)
        for key in self._shown_columns():
            title, width = COLUMNS[key]
            right = key in ("left", "length", "age")
            label = Text(title, justify="right" if right else "left")
            self.add_column(label, key=key, width=width or self._file_width())
        for key, entry in self.entries.items():
            self.add_row(*self._cells(entry).values(), key=key)
        self._sort()
        if cursor is not None:
            self.move_cursor(row=self.get_row_index(key_of(cursor)), animate=False)

    def _redraw(self) -> None:
        for key, entry in self.entries.items():
            self._change(key, entry)
        self._require_update_dimensions = True
        self.refresh()

    def _update_ages(self) -> None:
        for key, entry in self.entries.items():
            self._set(key, "age", self._cells(entry)["age"])

    def _sort(self) -> None:
        cursor = self.selected
        self.sort("file", key=lambda cell: cell.order, reverse=True)
        if cursor is not None:
            row = self.get_row_index(key_of(cursor))
            # With the cursor on the first row one looks at what comes in; elsewhere at a certain job.
            if row != self.cursor_row and self.cursor_row > 0:
                self.move_cursor(row=row, animate=False)

    def _change(self, key: str, entry: Entry) -> None:
        for column, value in self._cells(entry).items():
            self._set(key, column, value)

    def _set(self, key: str, column: str, value: Text | FileCell) -> None:
        try:
            if self.get_cell(key, column) == value:
                return
            place = self.get_cell_coordinate(key, column)
        except CellDoesNotExist:
            return  # not laid out yet: the first resize adds every row
        # What update_cell does, but for drawing the whole table: 10 kB over the line for each progress.
        self._data[RowKey(key)][ColumnKey(column)] = value
        self._update_count += 1
        self.refresh_coordinate(place)

    def _cells(self, entry: Entry) -> dict[str, Text | FileCell]:
        cells = self._job_cells(entry) if isinstance(entry, Job) else self._sending_cells(entry)
        return {key: cells[key] for key in self._shown_columns()}

    def _style(self, name: str) -> Any:
        return self.get_component_rich_style(f"job-table--{name}", partial=True)

    def _mark(self, key: str) -> tuple[str, Any]:
        return ("▌" if key in self.marked else " ", self._style("mark"))

    def _file(self, text: str, order: tuple[datetime, str]) -> FileCell:
        return FileCell(Text(fit(safe(text), self._file_width()), no_wrap=True), order)

    def _job_cells(self, job: Job) -> dict[str, Text | FileCell]:
        style = self._style(_TONES.get(job.state, "faint"))
        faint = self._style("faint")
        return {
            "state": Text.assemble(self._mark(job.id), (f"{ICONS[job.state]} {state_word(job)}", style)),
            "file": self._file(job.file_name, (in_utc(job.created_at), job.id)),
            "progress": self._progress(job, style),
            "left": Text(waiting(job), justify="right"),
            "length": Text(clock(job.duration), justify="right"),
            "model": Text(safe(job.settings.model or "auto"), style="" if job.settings.model else faint),
            "language": Text(safe(job.language or job.settings.language or ""), no_wrap=True),
            "age": Text(age(job.created_at), style=faint, justify="right"),
        }

    def _sending_cells(self, sending: Sending) -> dict[str, Text | FileCell]:
        faint = self._style("faint")
        style = self._style("failed" if sending.error else "running")
        word = "✗ not sent" if sending.error else "↑ waiting" if sending.fraction is None else "↑ sending"
        progress = Text()
        if sending.fraction is not None and not sending.error:
            progress = self._bar(sending.fraction, style)
        return {
            "state": Text.assemble(self._mark(sending.key), (word, style)),
            "file": self._file(sending.file_name, (sending.began, sending.key)),
            "progress": progress,
            "left": Text(),
            "length": Text(),
            "model": Text(),
            "language": Text(),
            "age": Text(age(sending.began), style=faint, justify="right"),
        }

    def _progress(self, job: Job, style: Any) -> Text:
        if job.state.is_held:
            return self._bar(job.progress, style)
        if job.state is JobState.SUCCEEDED or not job.progress:
            return Text()
        return Text(f"{'':{BAR}} {percent(job.progress):>4}", style=self._style("faint"))

    def _bar(self, fraction: float, style: Any) -> Text:
        done, rest = bar(fraction, BAR)
        return Text.assemble((done, style), (rest, self._style("faint")), f" {percent(fraction):>4}")


_TONES = {
    JobState.QUEUED: "queued",
    JobState.ASSIGNED: "running",
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "done",
    JobState.FAILED: "failed",
}
