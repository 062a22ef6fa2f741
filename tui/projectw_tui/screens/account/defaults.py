"""The settings that one's jobs begin with."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from projectw_tui.client import Client
from projectw_tui.screens.panes import Pane
from projectw_tui.widgets.settings_form import SettingsForm


class DefaultsPane(Pane):
    """The form of an upload, for all uploads to come. It is read once, so that what is typed stays."""

    TITLE = "Defaults"
    LIVE = False

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "save", "Save", tooltip="Keep these settings")]

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._laid_out = False

    def compose(self) -> ComposeResult:
        """Lay out what the answers fill in."""
        yield Static(Content("Your jobs begin with these settings; each can have others."), classes="note")
        yield Vertical(id="defaults-form")
        with Horizontal(classes="buttons"):
            yield Button(Content("Save"), id="save", variant="primary", compact=True)

    def begin(self) -> None:
        """Begin with the first setting, once there is one."""
        for select in self.query("SettingsForm Select").results():
            select.focus()
            return
        self.query_one("#save", Button).focus()

    async def read(self) -> None:
        """Lay the form out with what is set, the first time."""
        if self._laid_out:
            return
        defaults = await self.client.accounts.defaults()
        about = await self.client.about()
        self._laid_out = True
        await self.query_one("#defaults-form").mount(SettingsForm(about.models, defaults))
        if self.is_looked_at:
            self.begin()

    def on_button_pressed(self) -> None:
        """Save."""
        self.action_save()

    def action_save(self) -> None:
        """Keep what is in the form."""
        if self._laid_out:
            self.do(self._save)

    async def _save(self) -> str | None:
        try:
            settings = self.query_one(SettingsForm).settings()
        except ValueError as error:
            self.status.fail(f"{error}.")
            return None
        self.status.busy()
        await self.client.accounts.set_defaults(settings)
        return "Your jobs begin with these settings from now on."
