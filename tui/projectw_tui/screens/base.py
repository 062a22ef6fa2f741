"""What all screens share: the way in which they ask the server."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from textual.screen import Screen
from textual.worker import Worker, WorkerState

from projectw_shared.accounts import User
from projectw_tui.messages import LineChanged, WorkFailed
from projectw_tui.widgets.connection_bar import ConnectionBar

T = TypeVar("T")


class WorkingScreen(Screen[T]):
    """A screen that works in the background. What fails there is shown by the app, in one place."""

    def attempt(
        self, work: Callable[[], Coroutine[Any, Any, Any]], *, group: str = "default", exclusive: bool = False
    ) -> Worker[Any]:
        """Do ``work`` beside the screen; ``exclusive`` ends earlier work of the same group.

        It is a function, since a coroutine that is ended before it begins would be reported as forgotten.
        """
        return self.run_worker(work, group=group, exclusive=exclusive, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Hand a failure on: the framework tells it only to whom the work belongs."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.post_message(WorkFailed(event.worker.error))

    def know(self, user: User) -> None:
        """Show who is signed in, now that the server has said so."""
        for bar in self.query(ConnectionBar):
            bar.show_person(user.email)

    def on_line_changed(self, event: LineChanged) -> None:
        """Show whether the line to the server is open."""
        for bar in self.query(ConnectionBar):
            bar.retry_at = event.retry_at
            bar.connected = event.connected


def typed_path(text: str) -> Path:
    """Return a path that a person typed, ``~`` resolved where that names a home."""
    path = Path(text.strip())
    try:
        return path.expanduser()
    except RuntimeError:
        return path
