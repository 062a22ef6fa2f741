"""The machines that transcribe."""

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from projectw_shared.messages import CreatedRunner, RunnerInfo
from projectw_tui.display import age, minute, runner_state
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import Field, FormScreen
from projectw_tui.screens.list_pane import ListPane
from projectw_tui.screens.secret import SecretScreen
from projectw_tui.widgets.record_table import Cell, Column, Toned

TONES = {"idle": "good", "working": "good", "cordoned": "bad", "draining": "notice", "offline": "faint"}


class RunnersPane(ListPane[RunnerInfo]):
    """Runners, as they work."""

    TITLE = "Runners"
    EMPTY = "There are no runners. Press n to make one."
    COLUMNS = (
        Column("Name"),
        Column("State", 8),
        Column("Seen", 5, right=True),
        Column("Version", 10),
        Column("Device"),
        Column("Engine", 14, from_width=100),
        Column("Job", 12),
    )
    APPLIES = frozenset({"cordon", "uncordon", "drain", "revoke"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "create", "New", tooltip="Make a runner and see its token"),
        Binding("c", "cordon", "Cordon", tooltip="Give the runner no new jobs"),
        Binding("u", "uncordon", "Uncordon", tooltip="Give the runner jobs again"),
        Binding("w", "drain", "Drain", tooltip="Let the runner finish what it holds, and end"),
        Binding("d", "revoke", "Revoke", tooltip="Revoke the runner's token"),
    ]

    async def fetch(self, words: str, limit: int, cursor: str | None) -> tuple[list[RunnerInfo], str | None]:
        """Return all of them."""
        return await self.client.admin.runners(), None

    def key_of(self, record: RunnerInfo) -> str:
        """Return the id."""
        return record.id

    def cells(self, record: RunnerInfo) -> tuple[Cell, ...]:
        """Return a row."""
        state = runner_state(record)
        return (
            record.name,
            Toned(state, TONES[state]),
            age(record.last_seen) if record.last_seen else "never",
            record.version or "",
            record.device or "",
            record.engine or "",
            (record.job or "")[-12:],
        )

    def detail(self, record: RunnerInfo) -> list[str]:
        """Return what does not fit the row."""
        held = f", holds {record.job}" if record.job else ""
        models = ", ".join(record.models) or "no models known"
        lines = [
            f"{record.name}  {record.id}  {record.engine or ''}  {record.device or ''}{held}",
            f"made {minute(record.created_at)}, last seen {minute(record.last_seen) or 'never'} (UTC); {models}",
        ]
        if record.cordon_reason:
            lines.insert(0, f"Cordoned: {record.cordon_reason}")
        return lines

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to cordon what is not cordoned, and the other way round."""
        record = self.selected
        if record is not None and action in ("cordon", "uncordon"):
            return record.cordoned == (action == "uncordon")
        return super().check_action(action, parameters)

    def action_create(self) -> None:
        """Make a runner."""
        self.do(self._create)

    async def _create(self) -> str | None:
        async def send(values: Mapping[str, str]) -> CreatedRunner:
            if not values["name"]:
                raise ValueError("A runner needs a name")
            return await self.client.admin.create_runner(values["name"])

        form = FormScreen(
            "New runner", "A name for the machine that transcribes.", [Field("name", "Name")], "Make it", send
        )
        made = await self.app.push_screen_wait(form)
        if made is None:
            return None
        explanation = "It belongs into runner.token_file on the machine that transcribes."
        await self.app.push_screen_wait(SecretScreen(f"The token of {made.name}", made.token, explanation))
        return f"The runner {made.name} is made."

    def action_cordon(self) -> None:
        """Give it no new jobs."""
        self.do(lambda: self._tell(self.client.admin.cordon, "gets no new jobs"))

    def action_uncordon(self) -> None:
        """Give it jobs again."""
        self.do(lambda: self._tell(self.client.admin.uncordon, "gets jobs again"))

    def action_drain(self) -> None:
        """Let it end."""
        question = "Let {} finish what it holds, and end?", "It has to be started again by hand.", "Drain"
        self.do(lambda: self._tell(self.client.admin.drain, "ends after its job", question))

    def action_revoke(self) -> None:
        """Take its token back."""
        question = "Revoke the token of {}?", "What it holds is queued again.", "Revoke"
        self.do(lambda: self._tell(self.client.admin.revoke_runner, "is revoked", question))

    async def _tell(
        self,
        deed: Callable[[str], Awaitable[None]],
        done: str,
        question: tuple[str, str, str] | None = None,
    ) -> str | None:
        record = self.selected
        if record is None:
            return None
        if question is not None:
            asked, explanation, yes = question
            screen = ConfirmScreen(asked.format(record.name), explanation, yes)
            if not await self.app.push_screen_wait(screen):
                return None
        self.status.busy()
        await deed(record.id)
        return f"{record.name} {done}."
