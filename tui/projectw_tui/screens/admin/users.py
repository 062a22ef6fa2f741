"""Everybody's accounts."""

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from projectw_shared.accounts import AdminUser, Quota, UserChange
from projectw_tui.display import account_state, bounded, clock, minute, size
from projectw_tui.quotas import (
    hours_in_words,
    number_of_bytes,
    number_of_jobs,
    seconds_of_hours,
    size_in_words,
)
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import Field, FormScreen, twice
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.widgets.record_table import Cell, Column, Toned

TONES = {"disabled": "bad", "pending": "faint", "admin": "notice"}


class UsersPane(ListPane[AdminUser]):
    """Accounts, newest first; searched at the server while one types."""

    TITLE = "Users"
    EMPTY = "There are no accounts."
    SEARCH = "part of an address"
    COLUMNS = (
        Column("Address"),
        Column("State", 8),
        Column("Audio/month", 11, right=True),
        Column("Stored", 8, right=True),
        Column("Jobs", 5, right=True),
        Column("Since", 16, from_width=90),
    )
    APPLIES = frozenset({"disable", "enable", "toggle_admin", "password", "quota", "delete"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "create", "New", tooltip="Make an account"),
        Binding("x", "disable", "Disable", tooltip="Let the account in no more"),
        Binding("x", "enable", "Enable", tooltip="Let the account in again"),
        Binding("a", "toggle_admin", "Admin", tooltip="Make the user an admin, or none"),
        Binding("p", "password", "Password", tooltip="Set the user's password"),
        Binding("u", "quota", "Quota", tooltip="Bound what the user may use"),
        Binding("d", "delete", "Delete", tooltip="Delete the account with all that it owns"),
    ]

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[AdminUser], str | None]:
        """Return a page."""
        page = await self.client.admin.users(q=words, limit=limit, cursor=cursor)
        return page.users, page.next_cursor

    def key_of(self, record: AdminUser) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: AdminUser) -> tuple[Cell, ...]:
        """Return a row."""
        state = account_state(record)
        usage = record.usage
        return (
            record.email, Toned(state, TONES.get(state, "")),
            clock(usage.audio_seconds), size(usage.bytes), str(usage.jobs), minute(record.created_at),
        )  # fmt: skip

    def detail(self, record: AdminUser) -> list[str]:
        """Return address and quota in full."""
        quota, usage = record.quota, record.usage
        used = (
            f"audio {bounded(clock(usage.audio_seconds), quota.audio_seconds, clock)}",
            f"stored {bounded(size(usage.bytes), quota.bytes, size)}",
            f"waiting {bounded(str(usage.jobs), quota.jobs, str)}",
        )
        own = "own quota" if record.has_own_quota else "quota of everybody"
        return [f"{record.email}  {record.id}", f"{', '.join(used)} ({own})"]

    # --- deeds --------------------------------------------------------------------------------------------

    def action_create(self) -> None:
        """Make an account."""
        self.do(self._create)

    async def _create(self) -> str | None:
        async def send(values: Mapping[str, str]) -> str:
            if not values["email"]:
                raise ValueError("An address is needed")
            is_admin = values["kind"] == "admin"
            made = await self.client.admin.add_user(values["email"], twice(values), is_admin=is_admin)
            return f"The account {made.email} is made."

        fields = [
            Field("email", "Address"),
            Field("new", "Password", hidden=True),
            Field("again", "Again", hidden=True),
            Field("kind", "Kind", "user", choices=(("a user", "user"), ("an admin", "admin"))),
        ]
        form = FormScreen("New account", "It needs no confirmation by mail.", fields, "Make it", send)
        return await self.app.push_screen_wait(form)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to disable what is not disabled, and the other way round."""
        record = self.selected
        if record is not None and action in ("disable", "enable"):
            return record.disabled == (action == "enable")
        return super().check_action(action, parameters)

    def action_disable(self) -> None:
        """Let the account in no more."""
        self.do(self._disable)

    async def _disable(self) -> str | None:
        record = self.selected
        if record is None:
            return None
        question = ConfirmScreen(
            f"Disable {record.email}?",
            "All sessions and tokens stop working at once, and all jobs are cancelled; nothing is deleted.",
            "Disable",
        )
        if not await self.app.push_screen_wait(question):
            return None
        return await self._change(record, UserChange(disabled=True), "is disabled")

    def action_enable(self) -> None:
        """Let the account in again."""
        self.do(self._enable)

    async def _enable(self) -> str | None:
        record = self.selected
        if record is None:
            return None
        return await self._change(record, UserChange(disabled=False), "may sign in again")

    def action_toggle_admin(self) -> None:
        """Give or take the rights of an admin."""
        self.do(self._toggle_admin)

    async def _toggle_admin(self) -> str | None:
        record = self.selected
        if record is None:
            return None
        words = (
            (f"Take the rights of an admin from {record.email}?", "Take them", "is no admin any more")
            if record.is_admin
            else (f"Make {record.email} an admin?", "Make admin", "is an admin now")
        )
        question = ConfirmScreen(words[0], "An admin may do all that you may do here.", words[1])
        if not await self.app.push_screen_wait(question):
            return None
        return await self._change(record, UserChange(is_admin=not record.is_admin), words[2])

    async def _change(self, record: AdminUser, change: UserChange, done: str) -> str:
        self.status.busy()
        await self.client.admin.change_user(record.id, change)
        return f"{record.email} {done}."

    def action_password(self) -> None:
        """Set a password."""
        self.do(self._password)

    async def _password(self) -> str | None:
        record = self.selected
        if record is None:
            return None

        async def send(values: Mapping[str, str]) -> str:
            return await self._change(record, UserChange(new_password=twice(values)), "has the new password")

        fields = [Field("new", "New", hidden=True), Field("again", "Again", hidden=True)]
        form = FormScreen(f"Password of {record.email}", "Their sessions end.", fields, "Set it", send)
        return await self.app.push_screen_wait(form)

    def action_quota(self) -> None:
        """Set a quota."""
        self.do(self._quota)

    async def _quota(self) -> str | None:
        record = self.selected
        if record is None:
            return None

        async def send(values: Mapping[str, str]) -> str:
            own = values["whose"] == "own"
            quota = (
                Quota(
                    seconds_of_hours(values["hours"]),
                    number_of_bytes(values["bytes"]),
                    number_of_jobs(values["jobs"]),
                )
                if own
                else None
            )
            return await self._change(record, UserChange(quota=quota), "has the new quota")

        quota = record.quota
        fields = [
            Field(
                "whose",
                "Quota",
                "own" if record.has_own_quota else "all",
                choices=(("that of everybody", "all"), ("an own one, as follows", "own")),
            ),
            Field("hours", "Hours/month", hours_in_words(quota.audio_seconds), placeholder="without bound"),
            Field("bytes", "Stored", size_in_words(quota.bytes), placeholder="without bound; 500M, 20G"),
            Field(
                "jobs", "Waiting", "" if quota.jobs is None else str(quota.jobs), placeholder="without bound"
            ),
        ]
        form = FormScreen(
            f"Quota of {record.email}", "An empty field is without bound.", fields, "Set it", send
        )
        return await self.app.push_screen_wait(form)

    def action_delete(self) -> None:
        """Delete an account."""
        self.do(self._delete)

    async def _delete(self) -> str | None:
        record = self.selected
        if record is None:
            return None

        async def send(values: Mapping[str, str]) -> str:
            if values["address"].casefold() != record.email.casefold():
                raise ValueError("That is not the address of this account")
            await self.client.admin.delete_user(record.id)
            return f"{record.email} is deleted."

        form = FormScreen(
            "Delete the account?",
            f"All that {record.email} owns is deleted for good. Type the address to go on.",
            [Field("address", "Address")],
            "Delete",
            send,
            dangerous=True,
        )
        return await self.app.push_screen_wait(form)
