"""The list of jobs: where one arrives, and from where everything is reached."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static

from projectw_shared.accounts import User
from projectw_shared.errors import NotFound, ProjectWError
from projectw_shared.jobs import JobState
from projectw_shared.messages import Job
from projectw_tui.client import Client, save_transcript
from projectw_tui.messages import JobChanged, JobRemoved, ReadAnew
from projectw_tui.outbox import Outbox
from projectw_tui.screens.base import WorkingScreen
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.export import ExportScreen
from projectw_tui.screens.transcript import TranscriptScreen
from projectw_tui.screens.upload import UploadScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.connection_bar import ConnectionBar
from projectw_tui.widgets.filter_bar import FilterBar
from projectw_tui.widgets.job_detail import JobDetail
from projectw_tui.widgets.job_table import Entry, JobTable, Sending

K = TypeVar("K", Job, Sending)

PAGE = 100

NOTHING_YET = """\
Nothing here yet.

Press u to send a recording,
or run: projectw submit FILE"""

NOTHING_FOUND = "No job fits the filter. Escape shows all of them."


class JobsScreen(WorkingScreen[None]):
    """Jobs and uploads, as they change."""

    AUTO_FOCUS = "#jobs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "upload", "Upload", tooltip="Send recordings"),
        Binding("o", "open", "Open", tooltip="Read the transcript", show=False),
        Binding("c", "cancel", "Cancel", tooltip="Cancel the job, or the marked ones"),
        Binding("r", "retry", "Retry", tooltip="Try a failed or cancelled job again"),
        Binding("d", "delete", "Delete", tooltip="Delete the job with its recording and transcript"),
        Binding("e", "export", "Export", tooltip="Write the transcript to a file"),
        Binding("space", "mark", "Mark", tooltip="Mark the job, for several at once", key_display="␣"),
        Binding("slash", "filter", "Filter", tooltip="Show only jobs whose name contains something"),
        Binding("s", "filter_state", "State", tooltip="Show only jobs in one state", show=False),
        Binding("escape", "clear", "Show all", tooltip="End filter and marks", show=False),
        Binding("a", "account", "Account", tooltip="Your account: quota, sessions, tokens, password"),
        Binding("A", "admin", "Admin", tooltip="Users, runners, everybody's jobs, audit log", show=False),
        Binding("q", "app.quit", "Quit", tooltip="Leave; jobs go on at the server"),
        Binding("ctrl+r", "reload", "Read anew", tooltip="Read the list anew", show=False),
    ]

    def __init__(self, client: Client, settings: TuiSettings, person: str) -> None:
        super().__init__()
        self._client = client
        self._settings = settings
        self._person = person
        self._is_admin = False
        self._cursor: str | None = None
        self._pages = 1
        self._offered: list[bool | None] = []
        self._reading = asyncio.Lock()
        self._removed: set[str] = set()
        self.outbox = Outbox(client, self._show_sending)
        self._folder = settings.export_path

    def compose(self) -> ComposeResult:
        """Lay out the list and what belongs to it."""
        yield ConnectionBar(self._client.server_url, self._person)
        yield FilterBar()
        yield JobTable()
        yield Static(Content(""), id="empty")
        yield JobDetail(id="detail")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read the first page; the stream of events asks for it too once it is open."""
        self.attempt(self._read)

    @property
    def table(self) -> JobTable:
        """The list."""
        return self.query_one(JobTable)

    # --- who one is ---------------------------------------------------------------------------------------

    def know(self, user: User) -> None:
        """Say as whom one is signed in; admins get their key."""
        super().know(user)
        self._person, self._is_admin = user.email, user.is_admin
        self.refresh_bindings()

    def action_account(self) -> None:
        """Look at the account."""
        # Imported here: most people look at their jobs alone, and start sooner so.
        from projectw_tui.screens.account import AccountScreen

        self.app.push_screen(AccountScreen(self._client, self._person))

    def action_admin(self) -> None:
        """Look after users, runners and jobs."""
        from projectw_tui.screens.admin import AdminScreen

        self.app.push_screen(AdminScreen(self._client, self._person))

    # --- news ---------------------------------------------------------------------------------------------

    def on_job_changed(self, event: JobChanged) -> None:
        """Show a job's news."""
        self._put([event.job])

    def on_job_removed(self, event: JobRemoved) -> None:
        """Take a deleted job out."""
        self._removed.add(event.job_id)
        self.table.drop(event.job_id)

    def on_read_anew(self, event: ReadAnew) -> None:
        """Read the list again, as many pages as one has seen."""
        if event.everything:
            self.attempt(self._read)

    def _put(self, jobs: list[Job]) -> None:
        filters = self.query_one(FilterBar)
        for job in jobs:
            known = self.table.entries.get(job.id)
            if job.id in self._removed or (isinstance(known, Job) and known.revision > job.revision):
                continue
            if _fits(job, filters):
                self.table.put(job)
            else:
                self.table.drop(job.id)
        self._show_emptiness()

    async def _read(self) -> None:
        """Read as many pages as were read before, and show what they hold and no more."""
        async with self._reading:
            filters = self.query_one(FilterBar)
            jobs: list[Job] = []
            cursor = None
            for _ in range(self._pages):
                page = await self._client.jobs(
                    state=filters.state, q=filters.words, limit=PAGE, cursor=cursor
                )
                jobs += page.jobs
                cursor = page.next_cursor
                if cursor is None:
                    break
            self._cursor = cursor
            listed = {job.id for job in jobs}
            for key, entry in list(self.table.entries.items()):
                if isinstance(entry, Job) and key not in listed:
                    self.table.drop(key)
            self._put(jobs)
            self.table.loading = False

    async def _read_more(self) -> None:
        if self._reading.locked():
            return
        async with self._reading:
            if self._cursor is None:
                return
            filters = self.query_one(FilterBar)
            page = await self._client.jobs(
                state=filters.state, q=filters.words, limit=PAGE, cursor=self._cursor
            )
            self._cursor, self._pages = page.next_cursor, self._pages + 1
            self._put(page.jobs)

    def on_job_table_end_neared(self) -> None:
        """Read older jobs before one gets there."""
        if self._cursor is not None:
            self.attempt(self._read_more)

    def on_job_table_moved(self) -> None:
        """Show what is under the cursor, and the keys that apply to it."""
        self.query_one(JobDetail).show(self.table.selected)
        self._show_emptiness()
        offered = [self.check_action(action, ()) for action in _APPLIES]
        if offered != self._offered:
            # Each progress of a job comes by here; drawing the keys anew would cost more than the progress.
            self._offered = offered
            self.refresh_bindings()

    def _show_emptiness(self) -> None:
        empty = not self.table.entries
        self.set_class(empty, "-empty")
        if empty:
            filtered = self.query_one(FilterBar).is_open
            text = NOTHING_FOUND if filtered else NOTHING_YET
            self.query_one("#empty", Static).update(Content(text))

    # --- filter and marks ---------------------------------------------------------------------------------

    def on_filter_bar_changed(self) -> None:
        """Hide at once what does not fit, and ask the server for what does."""
        self._pages = 1
        filters = self.query_one(FilterBar)
        for key, entry in list(self.table.entries.items()):
            if isinstance(entry, Job) and not _fits(entry, filters):
                self.table.drop(key)
        self.attempt(self._read, group="filter", exclusive=True)

    def on_filter_bar_left(self) -> None:
        """Go back to the list."""
        self.query_one(FilterBar).leave()
        self.table.focus()

    def action_filter(self) -> None:
        """Ask for words."""
        self.query_one(FilterBar).ask()

    def action_filter_state(self) -> None:
        """Go on to the next state."""
        self.query_one(FilterBar).next_state()

    def action_clear(self) -> None:
        """Show everything, marked nothing."""
        self.query_one(FilterBar).clear()
        self.query_one(FilterBar).leave()
        self.table.clear_marks()
        self.table.focus()

    def action_mark(self) -> None:
        """Mark what is under the cursor."""
        self.table.toggle_mark()
        self.on_job_table_moved()

    def action_reload(self) -> None:
        """Read the list anew."""
        self.attempt(self._read)

    # --- deeds --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done with what is chosen, and by whom."""
        if action == "admin":
            return self._is_admin
        wanted = _APPLIES.get(action)
        return wanted is None or any(wanted(entry) for entry in self.table.chosen())

    def on_job_table_opened(self, event: JobTable.Opened) -> None:
        """Read a transcript."""
        entry = self.table.entries.get(event.key)
        if isinstance(entry, Job):
            self.app.push_screen(TranscriptScreen(self._client, self._settings, entry))

    def action_open(self) -> None:
        """Read the transcript of what is under the cursor."""
        if isinstance(self.table.selected, Job):
            self.post_message(JobTable.Opened(self.table.selected.id))

    def action_upload(self) -> None:
        """Choose recordings and send them."""
        self.attempt(self._upload, group="choosing", exclusive=True)

    async def _upload(self) -> None:
        try:
            about = await self._client.about()
        except ProjectWError:
            about = None  # one can choose meanwhile; sending says what is wrong
        try:
            defaults = await self._client.accounts.defaults()
        except ProjectWError:
            defaults = None
        choice = await self.app.push_screen_wait(UploadScreen(self.outbox.folder, about, defaults))
        if choice is None:
            return
        for path in choice.paths:
            self.outbox.add(path, choice.settings)
        self.attempt(self.outbox.send_all, group="sending")
        self.table.move_cursor(row=0)

    def _show_sending(self, sending: Sending, job: Job | None, *, gone: bool) -> None:
        if gone:
            self.table.drop(sending.key)
        else:
            self.table.put(sending)
        if job is not None:
            self._put([job])
        self._show_emptiness()

    def action_cancel(self) -> None:
        """Cancel jobs; an upload is broken off."""
        self._for_each("cancel", self._client.cancel)
        for entry in self._applicable("cancel", Sending):
            self.outbox.cancel(entry.key)
        self.table.clear_marks()

    def action_retry(self) -> None:
        """Queue jobs again; send again what could not be sent."""
        self._for_each("retry", self._client.retry)
        for entry in self._applicable("retry", Sending):
            self.outbox.retry(entry.key)
            self.attempt(self.outbox.send_all, group="sending")
        self.table.clear_marks()

    def action_delete(self) -> None:
        """Delete, after a question."""
        self.attempt(self._delete, group="deleting", exclusive=True)

    async def _delete(self) -> None:
        entries = self.table.chosen()
        jobs = [entry for entry in entries if isinstance(entry, Job)]
        for entry in entries:
            if isinstance(entry, Sending):
                self.outbox.cancel(entry.key)
        if not jobs:
            return
        what = jobs[0].file_name if len(jobs) == 1 else f"{len(jobs)} jobs"
        question = ConfirmScreen(
            f"Delete {what}?", "The recording and its transcript are deleted for good.", "Delete"
        )
        if await self.app.push_screen_wait(question):
            for job in jobs:
                with contextlib.suppress(NotFound):  # someone was faster
                    await self._client.delete(job.id)
                self.on_job_removed(JobRemoved(job.id))
            self.table.clear_marks()

    def action_export(self) -> None:
        """Write transcripts to files."""
        self.attempt(self._export, group="exporting", exclusive=True)

    async def _export(self) -> None:
        for job in self._applicable("export", Job):
            export = await self.app.push_screen_wait(ExportScreen(job.file_name, self._folder))
            if export is None:
                return
            self._folder = export.path.parent
            await save_transcript(self._client, job.id, export.file_format, export.path)
            self.notify(f"Saved {export.path}")

    def _for_each(self, action: str, deed: Callable[[str], Awaitable[Job]]) -> None:
        async def do(job: Job) -> None:
            self._put([await deed(job.id)])

        for job in self._applicable(action, Job):
            self.attempt(partial(do, job), group=action)

    def _applicable(self, action: str, kind: type[K]) -> list[K]:
        return [each for each in self.table.chosen() if isinstance(each, kind) and _APPLIES[action](each)]


def _fits(job: Job, filters: FilterBar) -> bool:
    states = {filters.state} | ({JobState.ASSIGNED} if filters.state is JobState.RUNNING else set())
    in_state = filters.state is None or job.state in states
    return in_state and filters.words.casefold() in job.file_name.casefold()


def _can_cancel(entry: Entry) -> bool:
    if isinstance(entry, Sending):
        return entry.error is None
    return not entry.state.is_over and not entry.cancel_requested


def _can_retry(entry: Entry) -> bool:
    if isinstance(entry, Sending):
        return entry.error is not None
    return entry.state in (JobState.FAILED, JobState.CANCELLED)


_APPLIES: dict[str, Callable[[Entry], bool]] = {
    "open": lambda entry: isinstance(entry, Job),
    "mark": lambda entry: True,
    "cancel": _can_cancel,
    "retry": _can_retry,
    "delete": lambda entry: True,
    "export": lambda entry: isinstance(entry, Job) and entry.state is JobState.SUCCEEDED,
}
