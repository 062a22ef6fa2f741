"""Where one is signed in."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from projectw_shared.accounts import SessionInfo
from projectw_tui.display import age, minute
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.widgets.record_table import Cell, Column, Toned


class SessionsPane(ListPane[SessionInfo]):
    """One's sign-ins, those used last first."""

    TITLE = "Sessions"
    EMPTY = "There are no sessions."
    COLUMNS = (
        Column("", 4),
        Column("Used", 5, right=True),
        Column("From", 24),
        Column("Program"),
        Column("Since", 16, from_width=90),
    )
    APPLIES = frozenset({"revoke"})
    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "revoke", "End", tooltip="End the session")]

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[SessionInfo], str | None]:
        """Return all of them."""
        return await self.client.accounts.sessions(), None

    def key_of(self, record: SessionInfo) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: SessionInfo) -> tuple[Cell, ...]:
        """Return a row."""
        here = Toned("here", "good") if record.current else ""
        return (
            here, age(record.used_at), record.address or "", record.client or "", minute(record.created_at),
        )  # fmt: skip

    def detail(self, record: SessionInfo) -> list[str]:
        """Return when it began and ends."""
        return [
            f"Signed in {minute(record.created_at)}, last used {minute(record.used_at)}, "
            f"ends {minute(record.expires_at)} (UTC)",
            f"{record.client or 'an unknown program'} from {record.address or 'an unknown address'}",
        ]

    def action_revoke(self) -> None:
        """End the session."""
        self.do(self._revoke)

    async def _revoke(self) -> str | None:
        record = self.selected
        if record is None:
            return None
        where = "this very session" if record.current else f"the session from {record.address or '?'}"
        question = ConfirmScreen(f"End {where}?", "Its next request is refused.", "End it")
        if not await self.app.push_screen_wait(question):
            return None
        self.status.busy()
        await self.client.accounts.revoke_session(record.id)
        return "The session has ended."
