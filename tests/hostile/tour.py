"""Walks through the full screen on the terminal that it is started on, for each of the server's texts anew.

``python -m tests.hostile.tour SCREEN REPORT COUNT`` runs the real application with its real driver; only the keys are
pressed from inside, so that one knows when a screen has been drawn. REPORT says how it ended.
"""

import asyncio
import json
import os
import sys
import traceback
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, Static

from projectw_tui.app import ProjectWApp
from projectw_tui.screens.admin.users import UsersPane
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.panes import Pane
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.file_tree import FileTree
from projectw_tui.widgets.job_table import JobTable
from projectw_tui.widgets.transcript_view import TranscriptView
from tests.hostile.hostile_server import CONTROL


class Stage:
    """The application, and what a visit needs to do with it."""

    def __init__(self, pilot: Pilot[None], server: str) -> None:
        self.pilot = pilot
        self.app = pilot.app
        self.server = server
        self.visits = 0

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds and everything is drawn."""
        async with asyncio.timeout(20):
            while True:
                await self.pilot.pause()
                if condition():
                    return
                await asyncio.sleep(0.005)

    def paste(self, text: str) -> None:
        """Do what the terminal does when somebody pastes."""
        self.app.post_message(events.Paste(text))

    async def arrives(self, screen: str) -> None:
        await self.until(lambda: type(self.app.screen).__name__ == screen and self.app.screen.is_running)

    async def tell(self, number: int, *, refuses: bool = False) -> None:
        """Let the server speak with its text of that number from now on."""
        address = f"{self.server}{CONTROL}{number}{'?refuses' if refuses else ''}"
        request = urllib.request.Request(address, method="PUT")
        await asyncio.to_thread(lambda: urllib.request.urlopen(request).close())

    async def chooses(self, number: int, count: int) -> None:
        """Move to the job of the text with that number; the newest is the first."""
        table = self.app.screen.query_one(JobTable)
        row = count - 1 - number

        def is_there() -> bool:
            # Again and again: the list that is laid out just now begins at its top.
            if table.row_count == count and table.cursor_row != row:
                table.move_cursor(row=row, animate=False)
            return table.row_count == count and table.cursor_row == row

        await self.until(is_there)

    async def back(self) -> None:
        """Press escape until the list is in front."""
        while not isinstance(self.app.screen, JobsScreen):
            await self.press("escape")
            await self.pilot.pause()
        await self.arrives("JobsScreen")


ENTRANCES: Final = ("LoginScreen", "SignUpScreen", "ResetScreen", "ActivationScreen")
"""Screens from which escape does not lead back to the list."""

Visit = Callable[[Stage], Awaitable[None]]


def opened_by(*keys: str) -> Visit:
    """Return a visit to a screen that ``keys`` open from the list of jobs."""

    async def visit(stage: Stage) -> None:
        await stage.press(*keys)

    return visit


async def the_list(stage: Stage) -> None:
    await stage.until(lambda: stage.app.screen.query_one(JobTable).selected)


async def a_transcript(stage: Stage) -> None:
    await stage.press("enter")
    await stage.arrives("TranscriptScreen")
    await stage.until(lambda: stage.app.screen.query_one(TranscriptView).next == 2)
    if stage.visits:
        return
    await stage.press("t", "slash")
    field = stage.app.screen.query_one("#search", Input)
    await stage.until(lambda: field.has_focus)
    stage.paste("EVIL\x1b]0;EVIL\x07\u202e[/nope]")
    await stage.until(lambda: field.value)
    await stage.press("enter")


async def files(stage: Stage) -> None:
    await stage.press("u")
    await stage.arrives("UploadScreen")
    tree = stage.app.screen.query_one(FileTree)
    paths = [path for path in Path.cwd().iterdir() if not path.name.startswith(".")]
    await stage.until(lambda: len(tree.root.children) == len(paths))
    # All of them once; the server's texts change nothing about them.
    for path in paths if not stage.visits else paths[:1]:
        tree.toggle(path)
    await stage.until(lambda: "chosen" in str(stage.app.screen.query_one("#summary", Static).content))


async def signing_in(stage: Stage) -> None:
    if isinstance(stage.app.screen, JobsScreen):
        await stage.press("ctrl+l")
    await stage.arrives("LoginScreen")
    fields = {name: stage.app.screen.query_one(f"#{name}", Input) for name in ("email", "password")}
    fields["email"].value, fields["password"].value = "ada@example.org", "wrong"
    fields["password"].focus()
    await stage.press("enter")
    refusal = stage.app.screen.query_one("#refusal", Static)
    await stage.until(lambda: str(refusal.content) not in ("", "Signing in …", "You are logged out."))


async def tabs(stage: Stage, key: str, screen: str, count: int) -> None:
    """Open each tab, and let it be drawn with what the server tells."""
    await stage.until(lambda: stage.app.person)
    await stage.press(key)
    await stage.arrives(screen)
    for number in range(1, count + 1):
        await stage.press(str(number))
        pane = stage.app.screen.query_one(f"#pane-{number}", Pane)
        await stage.until(lambda pane=pane: pane.display and not pane._reading.locked())
        await stage.pilot.pause()


async def a_form(stage: Stage) -> None:
    await tabs(stage, "A", "AdminScreen", 1)
    users = stage.app.screen.query_one("#pane-1", UsersPane)
    await stage.until(lambda: users.selected)
    await stage.press("u")


async def a_secret(stage: Stage) -> None:
    await tabs(stage, "a", "AccountScreen", 3)
    await stage.press("n")
    await stage.arrives("FormScreen")
    stage.app.screen.query_one("#name", Input).value = "x"
    await stage.press("ctrl+s")


async def outside(stage: Stage, key: str) -> None:
    """Go to the sign-in anew, and from there elsewhere."""
    await stage.press("ctrl+l")
    await stage.arrives("LoginScreen")
    login = stage.app.screen
    await stage.until(lambda: str(login.query_one("#offer", Static).content))
    await stage.press(key)


async def a_code(stage: Stage) -> None:
    stage.app.call_later(stage.app.ask_to_sign_in)
    await stage.arrives("LoginScreen")
    user = await stage.app.signed_in().accounts.me()
    stage.app.call_later(stage.app.ask_to_confirm, user.unconfirmed_email or "")


VISITS: Final[dict[str, Visit]] = {
    "JobsScreen": the_list,
    "ConfirmScreen": opened_by("d"),
    "ExportScreen": opened_by("e"),
    "HelpScreen": opened_by("question_mark"),
    "LoginScreen": signing_in,
    "TranscriptScreen": a_transcript,
    "UploadScreen": files,
    "AccountScreen": lambda stage: tabs(stage, "a", "AccountScreen", 5),
    "AdminScreen": lambda stage: tabs(stage, "A", "AdminScreen", 4),
    "FormScreen": a_form,
    "SecretScreen": a_secret,
    "SignUpScreen": lambda stage: outside(stage, "f2"),
    "ResetScreen": lambda stage: outside(stage, "f3"),
    "ActivationScreen": a_code,
}
"""How one comes to each screen. Every text of the server is evil by itself; local files are those of the folder."""


async def walk(pilot: Pilot[None], screen: str, count: int) -> None:
    """Visit ``screen`` once for each text."""
    app = pilot.app
    stage = Stage(pilot, os.environ["PROJECTW_SERVER"])
    await stage.arrives("JobsScreen")
    for number in range(count):
        await stage.tell(number)
        if isinstance(app.screen, JobsScreen):
            await stage.chooses(number, count)
        await VISITS[screen](stage)
        await stage.arrives(screen)
        stage.visits += 1
        await pilot.pause()
        app.refresh(layout=True)  # drawn as a whole, not only what has changed
        await pilot.pause()
        # What goes wrong is shown on top of any screen; one has to do for all, since each notice takes its time.
        if isinstance(app.screen, JobsScreen):
            await stage.tell(number, refuses=True)
            app.screen.attempt(partial(_refused, app))
            await stage.until(lambda: len(app._notifications))
            app.clear_notifications()
        assert app.is_running
        assert not app._clipboard
        assert app._exception is None
        if screen not in ENTRANCES:
            await stage.back()


async def _refused(app: Any) -> None:
    await app.signed_in().accounts.me()


def main() -> None:
    """Run the tour."""
    screen, report, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    settings = TuiSettings(
        server_url=os.environ["PROJECTW_SERVER"], use_keyring=False, state_dir=report.parent
    )
    app = ProjectWApp(settings, token=os.environ["PROJECTW_TOKEN"])
    found: dict[str, Any] = {"is_whole": False}

    async def pilot_walks(pilot: Any) -> None:
        try:
            await walk(pilot, screen, count)
            found["is_whole"] = True
        except BaseException:
            found["error"] = traceback.format_exc()
            found["screen"] = str(app.screen)
        finally:
            app.exit()

    app.run(auto_pilot=pilot_walks)
    report.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
