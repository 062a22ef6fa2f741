"""Which jobs the list shows: those in one state, those whose name contains some words."""

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from projectw_shared.jobs import JobState
from projectw_tui.display import WORDS

STATES = (None, *(state for state in JobState if state is not JobState.ASSIGNED))
"""The states that one can ask for, after all of them; ``assigned`` is over in a moment."""


class FilterBar(Horizontal):
    """Hidden while it lets everything through."""

    class Changed(Message):
        """Other jobs are to be shown."""

    class Left(Message):
        """The person has typed what there was to type."""

    def __init__(self) -> None:
        super().__init__(id="filter-bar")
        self.state: JobState | None = None

    def compose(self) -> ComposeResult:
        """Lay out the state and the words."""
        yield Static(Text("all"), id="filter-state")
        yield Input(placeholder="part of a file name", id="filter-words", compact=True)

    @property
    def words(self) -> str:
        """What a file's name has to contain."""
        return self.query_one(Input).value.strip()

    @property
    def is_open(self) -> bool:
        """Whether anything is left out."""
        return bool(self.words) or self.state is not None

    def ask(self) -> None:
        """Let the person type."""
        self.set_class(True, "-shown")
        self.query_one(Input).focus()

    def next_state(self) -> None:
        """Go on to the next state."""
        self._show_state(STATES[(STATES.index(self.state) + 1) % len(STATES)])

    def clear(self) -> None:
        """Let everything through."""
        self.query_one(Input).value = ""
        self._show_state(None)

    @on(Input.Changed)
    def words_changed(self, event: Input.Changed) -> None:
        """Say so."""
        event.stop()
        self.post_message(self.Changed())

    @on(Input.Submitted)
    def words_typed(self, event: Input.Submitted) -> None:
        """Say so."""
        event.stop()
        self.post_message(self.Left())

    def leave(self) -> None:
        """Hide the bar if it lets everything through."""
        self.set_class(self.is_open, "-shown")

    def _show_state(self, state: JobState | None) -> None:
        changed, self.state = state != self.state, state
        self.query_one("#filter-state", Static).update(Text(WORDS[state] if state else "all"))
        if not self.query_one(Input).has_focus:
            self.leave()
        if changed:
            self.post_message(self.Changed())
