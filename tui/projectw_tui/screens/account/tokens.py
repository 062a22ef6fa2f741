"""API tokens, for scripts."""

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from projectw_shared.accounts import ApiToken, CreatedToken, NewToken, Scope
from projectw_tui.display import age, minute
from projectw_tui.expiry import expiry
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import Field, FormScreen
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.screens.secret import SecretScreen
from projectw_tui.widgets.record_table import Cell, Column, Toned

SCOPES = (("read: look at jobs", "read"), ("write: submit, cancel, delete too", "write"))


class TokensPane(ListPane[ApiToken]):
    """One's tokens, newest first."""

    TITLE = "Tokens"
    EMPTY = "There are no API tokens. Press n to make one for a script."
    COLUMNS = (
        Column("Name"),
        Column("Scope", 6),
        Column("Used", 5, right=True),
        Column("Ends", 16),
        Column("Made", 16, from_width=90),
    )
    APPLIES = frozenset({"revoke"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "create", "New", tooltip="Make an API token"),
        Binding("d", "revoke", "Revoke", tooltip="Revoke the token"),
    ]

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[ApiToken], str | None]:
        """Return all of them."""
        return await self.client.accounts.tokens(), None

    def key_of(self, record: ApiToken) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: ApiToken) -> tuple[Cell, ...]:
        """Return a row."""
        scope = Toned("write", "notice") if record.scope == "write" else record.scope
        used = age(record.used_at) if record.used_at else "never"
        return record.name, scope, used, minute(record.expires_at) or "never", minute(record.created_at)

    def detail(self, record: ApiToken) -> list[str]:
        """Return the whole of it."""
        ends = f"ends {minute(record.expires_at)} UTC" if record.expires_at else "does not end by itself"
        return [record.name, f"{record.id}  {ends}"]

    def action_create(self) -> None:
        """Make a token."""
        self.do(self._create)

    async def _create(self) -> str | None:
        async def send(values: Mapping[str, str]) -> CreatedToken:
            if not values["name"]:
                raise ValueError("A token needs a name, by which you know it later")
            end = expiry(values["end"]) if values["end"] else None
            scope: Scope = "write" if values["scope"] == "write" else "read"
            return await self.client.accounts.create_token(NewToken(values["name"], scope, end))

        fields = [
            Field("name", "Name", placeholder="what it is for"),
            Field("scope", "Scope", "read", choices=SCOPES),
            Field("end", "Ends", "90d", placeholder="90d, 12h or 2027-03-31; empty: never"),
        ]
        form = FormScreen(
            "New API token", "Whoever has it can do this in your name.", fields, "Make it", send
        )
        made = await self.app.push_screen_wait(form)
        if made is None:
            return None
        await self.app.push_screen_wait(
            SecretScreen(f"The token {made.name}", made.token, "Give it to the script as PROJECTW_TOKEN.")
        )
        return "The token is made."

    def action_revoke(self) -> None:
        """Revoke the token."""
        self.do(self._revoke)

    async def _revoke(self) -> str | None:
        record = self.selected
        if record is None:
            return None
        question = ConfirmScreen(f"Revoke {record.name}?", "Whatever uses it is refused at once.", "Revoke")
        if not await self.app.push_screen_wait(question):
            return None
        self.status.busy()
        await self.client.accounts.revoke_token(record.id)
        return "The token is revoked."
