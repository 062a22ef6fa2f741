"""The last line above the keys: what is being done, what was done, what went wrong."""

from textual.content import Content
from textual.widgets import Static

from projectw_shared.text import safe


class StatusLine(Static):
    """One sentence. A trouble with reading gives way by itself once reading works again; other words stay."""

    def __init__(self) -> None:
        super().__init__(Content(""), id="status")
        self._troubled = False

    def say(self, words: str) -> None:
        """Say what was done."""
        self._show(words, "")

    def busy(self, words: str = "Asking the server …") -> None:
        """Say what is being done."""
        self._show(words, "-busy")

    def fail(self, words: str) -> None:
        """Say what went wrong."""
        self._show(f"✗ {words}", "-failed")

    def trouble(self, words: str) -> None:
        """Say that what is shown may be old."""
        self._show(f"✗ {words}", "-failed")
        self._troubled = True

    def mended(self) -> None:
        """Take the trouble back, if one was told."""
        if self._troubled:
            self._show("", "")

    def _show(self, words: str, state: str) -> None:
        self._troubled = False
        for each in ("-busy", "-failed"):
            self.set_class(each == state, each)
        self.update(Content(safe(words)))
