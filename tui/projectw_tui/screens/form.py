"""A few fields that are sent to the server; what was typed stays until that has worked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select, Static
from textual.worker import Worker

from projectw_shared.errors import NotConfirmed, ProjectWError, Unauthorized
from projectw_shared.text import safe
from projectw_tui.messages import WorkFailed

T = TypeVar("T")

LONGEST = 2000
"""Characters of a field."""


@dataclass(frozen=True)
class Field:
    """A line of a form; with ``choices`` (words, value) one of them, else text, which may be ``hidden``."""

    name: str
    label: str
    value: str = ""
    hidden: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    placeholder: str = ""


class FormScreen(ModalScreen[T | None]):
    """Asks for ``fields`` and hands them to ``send``; ends with what that returns, or None when one goes back.

    ``send`` raises ValueError or ProjectWError with a sentence that is shown, and the form stays as it is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", show=False),
        Binding("ctrl+s", "send", "Send", show=False),
    ]

    def __init__(
        self,
        title: str,
        explanation: str,
        fields: Sequence[Field],
        verb: str,
        send: Callable[[Mapping[str, str]], Awaitable[T]],
        *,
        dangerous: bool = False,
    ) -> None:
        super().__init__()
        self._heading = safe(title)
        self._explanation = safe(explanation, keep_newlines=True)
        self._fields = fields
        self._verb = verb
        self._send = send
        self._dangerous = dangerous

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(classes="dialog form"):
            yield Static(Content(self._heading), classes="title")
            if self._explanation:
                yield Static(Content(self._explanation), classes="note")
            for field in self._fields:
                with Horizontal(classes="setting"):
                    yield Label(Content(field.label))
                    yield _control(field)
            yield Static(Content(""), id="refusal")
            with Horizontal(classes="buttons"):
                variant = "error" if self._dangerous else "primary"
                yield Button(Content(self._verb), id="send", variant=variant, compact=True)  # type: ignore[arg-type]
                yield Button(Content("Back"), id="back", compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field; from the last one, send."""
        inputs = list(self.query(Input))
        self.action_send() if event.input is inputs[-1] else self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Send, or go back."""
        self.action_send() if event.button.id == "send" else self.dismiss(None)

    def action_send(self) -> None:
        """Send what was typed, once at a time."""
        if not self.has_class("-busy"):
            _: Worker[None] = self.run_worker(self._try, exclusive=True, exit_on_error=False)

    async def _try(self) -> None:
        self.set_class(True, "-busy")
        self._say("Asking the server …")
        try:
            result = await self._send({field.name: self._value(field) for field in self._fields})
        except (Unauthorized, NotConfirmed) as error:
            self.app.post_message(WorkFailed(error))
        except (ProjectWError, ValueError) as error:
            self._say(error.detail if isinstance(error, ProjectWError) else f"{error}.")
        else:
            self.dismiss(result)
        finally:
            self.set_class(False, "-busy")

    def _value(self, field: Field) -> str:
        if field.choices:
            return str(self.query_one(f"#{field.name}", Select).value)
        value = self.query_one(f"#{field.name}", Input).value
        return value if field.hidden else value.strip()

    def _say(self, words: str) -> None:
        self.query_one("#refusal", Static).update(Content(safe(words)))


def twice(values: Mapping[str, str], name: str = "new", again: str = "again") -> str:
    """Return the new password that was typed twice. Raises ValueError when it was not."""
    if not values[name]:
        raise ValueError("A new password is needed")
    if values[name] != values[again]:
        raise ValueError("The two new passwords differ")
    return values[name]


def _control(field: Field) -> Widget:
    if field.choices:
        choices = [(Content(words), value) for words, value in field.choices]
        return Select(choices, value=field.value, allow_blank=False, id=field.name, compact=True)
    return Input(
        safe(field.value),
        id=field.name,
        password=field.hidden,
        placeholder=safe(field.placeholder),
        max_length=LONGEST,
        compact=True,
    )
