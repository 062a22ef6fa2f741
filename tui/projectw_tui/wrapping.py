"""Where the lines of a transcript break, for any width: found when a text is added, drawn when it is seen."""

from bisect import bisect_right
from collections.abc import Iterable

from rich.cells import cell_len, get_character_cell_size

from projectw_shared.text import safe
from projectw_shared.transcripts import Segment


def wrap(text: str, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` cells, broken at spaces where there are some."""
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return [text]
    lines = []
    while text:
        end = _fitting(text, width)
        if end < len(text):
            space = text.rfind(" ", 1, end + 1)
            end = space if space > 0 else end
        lines.append(text[:end])
        text = text[end:].lstrip(" ")
    return lines or [""]


def _fitting(text: str, width: int) -> int:
    """Return how many characters fit into ``width`` cells: at least one, so that there is an end."""
    if text.isascii():
        return min(len(text), width)
    cells = 0
    for place, character in enumerate(text):
        cells += get_character_cell_size(character)
        if cells > width:
            return max(place, 1)
    return len(text)


class TranscriptLines:
    """A transcript as lines of a screen.

    It keeps the text of each segment, made safe, and the number of the line that each begins at: 100,000 segments
    cost a few bytes each, and a line's text is cut out of its segment when it is drawn.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self._texts: list[str] = []
        self._starts: list[int] = []
        self._count = 0
        self._width = 80

    @property
    def count(self) -> int:
        """The number of lines."""
        return self._count

    @property
    def texts(self) -> list[str]:
        """The safe text of each segment."""
        return self._texts

    def append(self, segments: Iterable[Segment]) -> None:
        """Add segments at the end."""
        for segment in segments:
            text = segment.text.strip()
            self.segments.append(segment)
            self._add(text if text.isascii() and text.isprintable() else safe(text))

    def resize(self, width: int) -> bool:
        """Break the lines anew for ``width`` cells; tell whether that changed anything."""
        if width == self._width:
            return False
        self._width = max(width, 1)
        texts, self._texts, self._starts, self._count = self._texts, [], [], 0
        for text in texts:
            self._add(text)
        return True

    def _add(self, text: str) -> None:
        self._texts.append(text)
        self._starts.append(self._count)
        # The common case without a call: Whisper's segments are often shorter than a line.
        self._count += 1 if len(text) <= self._width and text.isascii() else len(wrap(text, self._width))

    def locate(self, line: int) -> tuple[int, int]:
        """Return the index of the segment that ``line`` shows, and which of its lines that is."""
        index = bisect_right(self._starts, line) - 1
        return index, line - self._starts[index]

    def line_of(self, index: int) -> int:
        """Return the first line of a segment."""
        return self._starts[index]

    def text_at(self, index: int, part: int) -> str:
        """Return one line of a segment."""
        return wrap(self._texts[index], self._width)[part]
