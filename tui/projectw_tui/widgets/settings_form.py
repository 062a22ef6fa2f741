"""What a person may ask of a transcription, one line each."""

from collections.abc import Iterable

import msgspec
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Label, Select

from projectw_shared.jobs import MAX_PROMPT_CHARACTERS, JobSettings
from projectw_shared.languages import LANGUAGES
from projectw_shared.text import safe


class SettingsForm(VerticalScroll):
    """Model, language, task and the rest; empty fields leave the choice to the server."""

    can_focus = False

    def __init__(self, models: Iterable[str], begin: JobSettings | None = None) -> None:
        super().__init__(id="settings")
        self._begin = begin or JobSettings()
        own = [self._begin.model] if self._begin.model else []
        self._models = list(dict.fromkeys(safe(model) for model in (*models, *own)))

    def compose(self) -> ComposeResult:
        """Lay out one line for each setting."""
        begin = self._begin
        models = [(Content(model), model) for model in self._models]
        languages = sorted((name.title(), code) for code, name in LANGUAGES.items())
        tasks = [("transcribe", "transcribe"), ("translate to English", "translate")]
        model, language = begin.model or Select.NULL, begin.language or Select.NULL
        yield _row("Model", Select(models, value=model, prompt="automatic", id="model", compact=True))
        yield _row(
            "Language", Select(languages, value=language, prompt="detect", id="language", compact=True)
        )
        yield _row("Task", Select(tasks, value=begin.task, allow_blank=False, id="task", compact=True))
        prompt = safe(begin.initial_prompt or "")
        yield _row("Prompt", Input(prompt, id="prompt", compact=True, max_length=MAX_PROMPT_CHARACTERS))
        beam = str(begin.beam_size or "")
        yield _row("Beam size", Input(beam, id="beam", type="integer", placeholder="greedy", compact=True))
        priority = str(begin.priority or "")
        yield _row("Priority", Input(priority, id="priority", type="integer", placeholder="0", compact=True))
        yield _row("Words", Tick(Content("time stamp each"), begin.word_timestamps, id="words", compact=True))

    def settings(self) -> JobSettings:
        """Return what was chosen; raises ValueError with the reason when no model could honour it."""
        return msgspec.structs.replace(
            self._begin,
            model=self._choice("#model"),
            language=self._choice("#language"),
            task="translate" if self._choice("#task") == "translate" else "transcribe",
            word_timestamps=self.query_one("#words", Checkbox).value,
            initial_prompt=self.query_one("#prompt", Input).value or None,
            beam_size=self._number("#beam", "Beam size"),
            priority=self._number("#priority", "Priority") or 0,
        )

    def _choice(self, selector: str) -> str | None:
        value = self.query_one(selector, Select).value
        return value if isinstance(value, str) else None

    def _number(self, selector: str, name: str) -> int | None:
        value = self.query_one(selector, Input).value.strip()
        try:
            return int(value) if value else None
        except ValueError:
            raise ValueError(f"{name} is a whole number") from None


class Tick(Checkbox):
    """A check box whose cross is there only when it is checked; otherwise colour alone would tell."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw the cross, or none."""
        self.BUTTON_INNER = "X" if self.value else " "
        super().watch_value()


def _row(title: str, control: Widget) -> Horizontal:
    return Horizontal(Label(Content(title)), control, classes="setting")
