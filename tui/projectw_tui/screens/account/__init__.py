"""One's own account, in tabs."""

from typing import ClassVar

from textual.binding import BindingType

from projectw_tui.screens.account.defaults import DefaultsPane
from projectw_tui.screens.account.disclosures import DisclosuresPane
from projectw_tui.screens.account.overview import OverviewPane
from projectw_tui.screens.account.sessions import SessionsPane
from projectw_tui.screens.account.tokens import TokensPane
from projectw_tui.screens.panes import Pane, TabbedScreen, tab_bindings


class AccountScreen(TabbedScreen):
    """What one may use and uses, and all that can be done with the account."""

    BINDINGS: ClassVar[list[BindingType]] = tab_bindings(
        *(kind.TITLE for kind in (OverviewPane, SessionsPane, TokensPane, DefaultsPane, DisclosuresPane))
    )

    def panes(self) -> list[Pane]:
        """Return the tabs."""
        return [
            OverviewPane(self.client),
            SessionsPane(self.client),
            TokensPane(self.client),
            DefaultsPane(self.client),
            DisclosuresPane(self.client),
        ]
