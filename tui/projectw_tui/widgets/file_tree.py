"""Folders and files, of which several can be marked."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.text import Text, TextType
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DirectoryTree
from textual.widgets._directory_tree import DirEntry
from textual.widgets.tree import TreeNode

from projectw_shared.text import safe


class FileTree(DirectoryTree):
    """A folder's files. Enter or space marks a file; hidden ones are shown on request."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    COMPONENT_CLASSES: ClassVar[set[str]] = {"file-tree--marked"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark"),
        Binding("full_stop", "toggle_hidden", "Hidden files", key_display="."),
        Binding("backspace", "up", "Folder above", key_display="⌫"),
    ]

    class Marked(Message):
        """The choice of files has changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, id="files")
        self.marked: dict[Path, None] = {}
        """The chosen files, in the order of the choice."""
        self.show_hidden = False
        self._words = ""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leave out what is hidden, and files whose name does not contain the filter."""
        for path in paths:
            if path.name.startswith(".") and not self.show_hidden:
                continue
            if not self._words or self._words in path.name.casefold() or self._safe_is_dir(path):
                yield path

    async def filter(self, words: str) -> None:
        """Show only files with ``words`` in their name."""
        self._words = words.casefold()
        await self.reload()

    def toggle(self, path: Path) -> None:
        """Mark a file, or take its mark away."""
        if path in self.marked:
            del self.marked[path]
        else:
            self.marked[path] = None
        self._clear_line_cache()
        self.refresh()
        self.post_message(self.Marked())

    def process_label(self, label: TextType) -> Text:
        """Show a name as text on one line, whatever it contains."""
        return Text(safe(str(label)))

    def render_label(self, node: TreeNode[DirEntry], base_style: Style, style: Style) -> Text:
        """Put a check mark before what is chosen."""
        text = super().render_label(node, base_style, style)
        if self.is_mounted and node.data is not None and node.data.path in self.marked:
            chosen = self.get_component_rich_style("file-tree--marked", partial=True)
            return Text.assemble(("✓ ", base_style + chosen), text[len(self.ICON_FILE) :])
        return text

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        """Enter or a click on a file marks it."""
        event.stop()
        self.toggle(event.path)

    def action_mark(self) -> None:
        """Mark the file under the cursor and go one down; open or close a folder."""
        node = self.cursor_node
        if node is None or node.data is None:
            return
        if node.allow_expand:
            node.toggle()
            return
        self.toggle(node.data.path)
        self.action_cursor_down()

    async def action_toggle_hidden(self) -> None:
        """Show hidden files, or no longer."""
        self.show_hidden = not self.show_hidden
        await self.reload()

    def action_up(self) -> None:
        """Show the folder above."""
        self.path = Path(self.path).resolve().parent
