"""What an admin looks after, in tabs."""

from typing import ClassVar

from textual.binding import BindingType

from projectw_tui.screens.admin.audit import AuditPane
from projectw_tui.screens.admin.jobs import AllJobsPane
from projectw_tui.screens.admin.runners import RunnersPane
from projectw_tui.screens.admin.users import UsersPane
from projectw_tui.screens.panes import Pane, TabbedScreen, tab_bindings


class AdminScreen(TabbedScreen):
    """Users, runners, everybody's jobs, and the audit log."""

    BINDINGS: ClassVar[list[BindingType]] = tab_bindings(
        *(kind.TITLE for kind in (UsersPane, RunnersPane, AllJobsPane, AuditPane))
    )

    def panes(self) -> list[Pane]:
        """Return the tabs."""
        return [
            UsersPane(self.client),
            RunnersPane(self.client),
            AllJobsPane(self.client),
            AuditPane(self.client),
        ]
