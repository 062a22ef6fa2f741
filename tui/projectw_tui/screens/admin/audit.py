"""The audit log: who did what."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from projectw_shared.accounts import AuditEntry
from projectw_tui.display import in_one_line, minute
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.widgets.record_table import Cell, Column, Toned


class AuditPane(ListPane[AuditEntry]):
    """Entries, newest first; by their action."""

    TITLE = "Audit"
    EMPTY = "There are no such entries."
    SEARCH = "one action, such as login-failed"
    COLUMNS = (
        Column("When", 16),
        Column("Action", 22),
        Column("By"),
        Column("From", 15, from_width=75),
        Column("To", from_width=100),
    )
    APPLIES = frozenset({"same"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "same", "Only these", tooltip="Show only entries with the action of this one")
    ]

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        """Return a page."""
        page = await self.client.admin.audit(action=words, limit=limit, cursor=cursor)
        return page.entries, page.next_cursor

    def key_of(self, record: AuditEntry) -> str:
        """Return the number; before it is sealed, what else tells it from others."""
        if record.number is not None:
            return str(record.number)
        return in_one_line(
            {"at": record.at, "action": record.action, "by": record.actor_id, "to": record.object_id}
        )

    def cells(self, record: AuditEntry) -> tuple[Cell, ...]:
        """Return a row."""
        by = f"{record.actor_kind} {(record.actor_id or '')[-8:]}"
        tone = "bad" if "failed" in record.action or "reused" in record.action else ""
        return (
            minute(record.at), Toned(record.action, tone), by, record.address or "", record.object_id or "",
        )  # fmt: skip

    def detail(self, record: AuditEntry) -> list[str]:
        """Return the whole entry."""
        number = f"No. {record.number}" if record.number is not None else "Not sealed yet"
        return [
            f"{number}  {record.at:%Y-%m-%d %H:%M:%S} UTC  {record.action}  {in_one_line(record.details)}",
            f"by {record.actor_kind} {record.actor_id or ''} from {record.address or '?'}"
            f" to {record.object_id or '–'}",
            record.hash or "",
        ]

    def action_same(self) -> None:
        """Show only entries of this kind."""
        if self.selected is not None:
            self.query_one(".search", Input).value = self.selected.action
