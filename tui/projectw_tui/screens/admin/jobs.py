"""Everybody's jobs: what they are, never what they say."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from projectw_shared.accounts import AdminJob
from projectw_shared.jobs import JobState
from projectw_tui.client import Client
from projectw_tui.display import ICONS, WORDS, age, clock, language_name, minute, size, state_word
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.widgets.filter_bar import STATES
from projectw_tui.widgets.record_table import Cell, Column, Toned

TONES = {JobState.SUCCEEDED: "good", JobState.FAILED: "bad", JobState.RUNNING: "notice"}


class AllJobsPane(ListPane[AdminJob]):
    """Jobs, newest first; by a part of the file's name and by state."""

    TITLE = "Jobs"
    EMPTY = "There are no such jobs. Press s for other states."
    SEARCH = "part of a file name"
    COLUMNS = (
        Column("State", 12),
        Column("File"),
        Column("Owner"),
        Column("Length", 8, right=True),
        Column("Runner", 12, from_width=100),
        Column("Age", 4, right=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "state", "State", tooltip="Show only jobs in one state")
    ]

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._state: JobState | None = None

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[AdminJob], str | None]:
        """Return a page."""
        page = await self.client.admin.jobs(state=self._state, q=words, limit=limit, cursor=cursor)
        return page.jobs, page.next_cursor

    def key_of(self, record: AdminJob) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: AdminJob) -> tuple[Cell, ...]:
        """Return a row."""
        return (
            Toned(f"{ICONS[record.state]} {state_word(record)}", TONES.get(record.state, "")),
            record.file_name,
            record.owner.email,
            clock(record.duration),
            record.runner.name if record.runner else "",
            age(record.created_at),
        )

    def detail(self, record: AdminJob) -> list[str]:
        """Return what does not fit the row."""
        settings = record.settings
        facts = [
            size(record.bytes),
            settings.model or "automatic model",
            language_name(record.language or settings.language),
            settings.task,
            f"priority {settings.priority}" if settings.priority else "",
            f"attempt {record.attempts}" if record.attempts > 1 else "",
            f"sent {minute(record.created_at)} UTC",
        ]
        lines = [f"{record.file_name}  {record.owner.email}  {record.id}", ", ".join(filter(None, facts))]
        if record.error:
            lines.insert(0, f"{record.error.message} ({record.error.code})")
        return lines

    def action_state(self) -> None:
        """Go on to the next state."""
        self._state = STATES[(STATES.index(self._state) + 1) % len(STATES)]
        self._pages = 1
        self.status.say(
            f"Only jobs that are {WORDS[self._state]}." if self._state else "Jobs in every state."
        )
        self._work(self._read, group="search")
