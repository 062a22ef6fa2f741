"""A tab with a list: searched at the server, read page by page, with all that is known of one record below."""

from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from projectw_shared.text import fit, safe
from projectw_tui.client import Client
from projectw_tui.screens.panes import Pane
from projectw_tui.widgets.record_table import Cell, Column, RecordTable

R = TypeVar("R")

PAGE = 100

LONGEST_LINE = 1_000
"""Cells of a line of the detail: more than that nobody reads there, and it would hold up the drawing."""


class ListPane(Pane, Generic[R]):
    """Shows records; what they are and what can be done with one, a subclass says."""

    COLUMNS: ClassVar[tuple[Column, ...]]
    EMPTY = "There is nothing here."
    SEARCH = ""
    """What one can search for; empty where the list is short enough without."""
    APPLIES: ClassVar[frozenset[str]] = frozenset()
    """Actions that need a record under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", tooltip="Show only what contains some words"),
        Binding("escape", "clear", "Back", tooltip="End the search, or go back"),
    ]

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.records: dict[str, R] = {}
        self._cursor: str | None = None
        self._pages = 1
        self.set_class(True, "-empty")

    @abstractmethod
    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[R], str | None]:
        """Return a page of records, and where the next one begins."""

    @abstractmethod
    def key_of(self, record: R) -> str:
        """Return what names a record."""

    @abstractmethod
    def cells(self, record: R) -> tuple[Cell, ...]:
        """Return a cell for each column."""

    @abstractmethod
    def detail(self, record: R) -> list[str]:
        """Return what is told of the record under the cursor, in a few lines; foreign text cannot add to them."""

    def compose(self) -> ComposeResult:
        """Lay out search, list and detail."""
        if self.SEARCH:
            yield Input(placeholder=self.SEARCH, compact=True, classes="search", max_length=300)
        yield RecordTable(self.COLUMNS)
        yield Static(Content("Reading …"), classes="none")
        with Vertical(classes="record"):
            yield Static(Content(""), classes="detail")

    def begin(self) -> None:
        """Begin in the list."""
        self.table.focus()

    @property
    def table(self) -> RecordTable:
        """The list."""
        return self.query_one(RecordTable)

    @property
    def selected(self) -> R | None:
        """The record under the cursor."""
        return self.records.get(self.table.selected or "")

    @property
    def words(self) -> str:
        """What is searched for."""
        return self.query_one(".search", Input).value.strip() if self.SEARCH else ""

    # --- reading ------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read as many pages as were read before."""
        words, found, cursor = self.words, list[R](), None
        for _ in range(self._pages):
            page, cursor = await self.fetch(words, PAGE, cursor)
            found += page
            if cursor is None:
                break
        if words == self.words:  # else other words were typed meanwhile, which are asked for after this
            self._cursor = cursor
            self._show(found)

    async def _read_more(self) -> None:
        async with self._reading:
            # Asked again once it is one's turn: another reading may have brought more meanwhile.
            if self._cursor is not None and self.table.is_near_the_end:
                page, self._cursor = await self.fetch(self.words, PAGE, self._cursor)
                self._pages += 1
                self._show([*self.records.values(), *page])

    def _show(self, found: list[R]) -> None:
        self.records = {self.key_of(record): record for record in found}
        self.table.show({key: self.cells(record) for key, record in self.records.items()})
        self.set_class(not self.records, "-empty")
        words = "Nothing fits the search. Escape ends it." if self.words else self.EMPTY
        self.query_one(".none", Static).update(Content(words))
        self._show_detail()

    def _show_detail(self) -> None:
        record = self.selected
        lines = self.detail(record) if record is not None else []
        self.query_one(".detail", Static).update(
            Content("\n".join(fit(safe(line), LONGEST_LINE) for line in lines))
        )
        self.refresh_bindings()

    def on_record_table_moved(self) -> None:
        """Show what is under the cursor, and the keys that apply to it."""
        self._show_detail()

    def on_record_table_end_neared(self) -> None:
        """Read more before one gets there."""
        if self._cursor is not None:
            self._work(self._more, group="more")

    async def _more(self) -> None:
        await self._told(self._read_more)

    # --- searching ----------------------------------------------------------------------------------------

    def on_input_changed(self) -> None:
        """Ask the server for what fits; an answer to fewer letters is not waited for."""
        self._pages = 1
        self._work(self._read, group="search")

    def on_input_submitted(self) -> None:
        """Go on in the list."""
        self.table.focus()

    def action_search(self) -> None:
        """Go to the search."""
        self.query_one(".search", Input).focus()

    def action_clear(self) -> None:
        """End the search; without one, go back."""
        if self.SEARCH and (self.words or self.query_one(".search", Input).has_focus):
            self.query_one(".search", Input).value = ""
            self.table.focus()
        else:
            self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done."""
        if action == "search":
            return bool(self.SEARCH)
        return action not in self.APPLIES or self.selected is not None
