"""A transcript of any length: only the lines that are seen are ever drawn."""

from typing import ClassVar

from rich.segment import Segment as Cells
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from projectw_shared.transcripts import Segment
from projectw_tui.display import clock
from projectw_tui.wrapping import TranscriptLines

GUTTER = 10
"""Cells for the time stamp and the space behind it."""

WIDEST = 100
"""Cells of text in a line: longer ones are hard to read."""


class TranscriptView(ScrollView, can_focus=True):
    """Time stamps and text. With ``following`` the end stays in sight as the transcript grows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "transcript-view--time",
        "transcript-view--text",
        "transcript-view--match",
        "transcript-view--current",
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup,b", "page_up", "Page up", show=False),
        Binding("pagedown,space", "page_down", "Page down", show=False),
        Binding("home", "scroll_home", "Start", show=False),
        Binding("end", "scroll_end", "End", show=False),
    ]

    following: reactive[bool] = reactive(False)
    stamps: reactive[bool] = reactive(True)

    class Followed(Message):
        """Following began or ended, for example because the person scrolled up."""

        def __init__(self, *, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self.lines = TranscriptLines()
        self.words = ""
        self.matches: list[int] = []
        self._searched = 0
        self.current: int | None = None
        """The index in ``matches`` of the one that one looks at."""

    # --- what a screen asks and says ----------------------------------------------------------------------

    @property
    def next(self) -> int:
        """The index of the first segment that is not here yet."""
        return len(self.lines.segments)

    def append(self, segments: list[Segment]) -> bool:
        """Add what is new in ``segments``; False when some are missing in between."""
        if segments and segments[0].id > self.next:
            return False
        first = self.lines.count
        self.lines.append(segment for segment in segments if segment.id >= self.next)
        if self.lines.count != first:
            self._measure()
            self._search_on()
            if self.following:
                self._show_end()
            self.refresh()
        return True

    def search(self, words: str) -> int:
        """Find ``words``, look at the first match from here on, and return how many there are."""
        self.words = words
        self.matches, self._searched, self.current = [], 0, None
        self._search_on()
        self.refresh()
        if self.matches:
            top = self.lines.locate(min(int(self.scroll_y), self.lines.count - 1))[0]
            following = (n for n, index in enumerate(self.matches) if index >= top)
            self._look_at(next(following, 0))
        return len(self.matches)

    def step(self, by: int) -> None:
        """Look at the next match, or the previous one; after the last comes the first."""
        if self.matches:
            self._look_at(((self.current or 0) + by) % len(self.matches))

    def text(self) -> str:
        """Return the running text, as it is drawn."""
        return "\n".join(self.lines.texts)

    # --- scrolling ----------------------------------------------------------------------------------------

    def watch_following(self, following: bool) -> None:
        """Go to the end when following begins."""
        if following and self.is_mounted:
            self._show_end()
        self.post_message(self.Followed(following=following))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stop following when one scrolls up: one wants to read."""
        super().watch_scroll_y(old_value, new_value)
        if self.following and new_value < old_value and new_value < self.max_scroll_y:
            self.following = False

    def watch_stamps(self) -> None:
        """Give the room of the time stamps to the text."""
        self._measure()
        self.refresh()

    def action_scroll_end(self) -> None:
        """Jump to the end at once; a long way is not worth an animation."""
        self._show_end()

    def action_scroll_home(self) -> None:
        """Jump to the start at once."""
        self.scroll_home(animate=False)

    def notify_style_update(self) -> None:
        """Draw anew in the colours of another theme."""
        super().notify_style_update()
        self.refresh()

    def on_resize(self) -> None:
        """Break the lines for the new width, and keep the text that is at the top there."""
        top = self.lines.locate(int(self.scroll_y))[0] if self.lines.count else 0
        if self._measure() and self.lines.count:
            self.scroll_to(y=self.lines.line_of(top), animate=False, force=True)
        if self.following:
            self._show_end()

    def _show_end(self) -> None:
        self.scroll_end(animate=False, force=True, immediate=True, x_axis=False)

    def _look_at(self, match: int) -> None:
        self.current = match
        self.following = False
        line = self.lines.line_of(self.matches[match])
        self.scroll_to_region(Region(0, line, 1, 1), animate=False, center=True, force=True)
        self.refresh()

    def _search_on(self) -> None:
        """Look through what has been added since."""
        if self.words:
            wanted = self.words.casefold()
            texts = self.lines.texts
            fresh = range(self._searched, len(texts))
            self.matches += [n for n in fresh if wanted in texts[n].casefold()]
        self._searched = len(self.lines.texts)

    def _measure(self) -> bool:
        if not self.size.width:
            return False
        gutter = GUTTER if self.stamps else 2
        changed = self.lines.resize(min(self.scrollable_content_region.width - gutter - 1, WIDEST))
        self.virtual_size = Size(self.scrollable_content_region.width, self.lines.count)
        return changed

    # --- drawing ------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw one line of the window: the line API's only duty."""
        width = self.size.width
        line = y + self.scroll_offset.y
        if line >= self.lines.count:
            return Strip.blank(width, self.rich_style)
        index, part = self.lines.locate(line)
        cells = [*self._gutter(index, part), *self._text(index, part)]
        return Strip(cells).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _gutter(self, index: int, part: int) -> list[Cells]:
        if not self.stamps:
            return [Cells("  ")]
        stamp = clock(self.lines.segments[index].start) if part == 0 else ""
        # The stamp tells where the match is also when a line break has cut it in two.
        style = self._style("current" if stamp and self._is_looked_at(index) else "time")
        return [Cells(" " * (GUTTER - 2 - len(stamp))), Cells(stamp, style), Cells("  ")]

    def _is_looked_at(self, index: int) -> bool:
        return self.current is not None and self.matches[self.current] == index

    def _text(self, index: int, part: int) -> list[Cells]:
        text = self.lines.text_at(index, part)
        base = self._style("text")
        if not self.words:
            return [Cells(text, base)]
        found = self._style("current" if self._is_looked_at(index) else "match")
        return [Cells(piece, found if hit else base) for piece, hit in _split(text, self.words)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"transcript-view--{name}", partial=True)


def _split(text: str, words: str) -> list[tuple[str, bool]]:
    """Cut ``text`` into pieces, each with whether it is ``words``.

    A case that changes a text's length would move the places; then nothing is emphasized.
    """
    lower, wanted = text.lower(), words.lower()
    if len(lower) != len(text) or not wanted:
        return [(text, False)]
    pieces, start = [], 0
    while (place := lower.find(wanted, start)) >= 0:
        pieces += [(text[start:place], False), (text[place : place + len(wanted)], True)]
        start = place + len(wanted)
    return [*pieces, (text[start:], False)]
