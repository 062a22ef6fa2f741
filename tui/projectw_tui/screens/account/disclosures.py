"""What admins have read of one's own."""

from projectw_shared.accounts import Disclosure
from projectw_tui.display import minute
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.widgets.record_table import Cell, Column


class DisclosuresPane(ListPane[Disclosure]):
    """Who has read what, and why; newest first."""

    TITLE = "Disclosures"
    EMPTY = "No admin has read anything of yours."
    COLUMNS = (Column("When", 16), Column("Who"), Column("File"), Column("Reason", from_width=90))

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[Disclosure], str | None]:
        """Return all of them."""
        return await self.client.accounts.disclosures(), None

    def key_of(self, record: Disclosure) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: Disclosure) -> tuple[Cell, ...]:
        """Return a row."""
        return minute(record.at), record.admin or "(deleted)", record.file_name or "(deleted)", record.reason

    def detail(self, record: Disclosure) -> list[str]:
        """Return the reason in full."""
        who, what = record.admin or "A deleted admin", record.file_name or record.job_id
        return [f"{who} read {what}:", record.reason]
