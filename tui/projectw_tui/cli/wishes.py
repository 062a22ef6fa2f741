"""The options that say what is wished of a transcription, for every command that has them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from projectw_shared.errors import Forbidden, NotFound
from projectw_shared.jobs import JobSettings

if TYPE_CHECKING:
    from projectw_tui.client import Client

F = TypeVar("F", bound=Callable[..., Any])

NAMES = {
    "model": "model",
    "language": "language",
    "task": "task",
    "word_timestamps": "word_timestamps",
    "prompt": "initial_prompt",
    "beam_size": "beam_size",
    "priority": "priority",
}
"""Option → setting."""

_OPTIONS = (
    click.option("--model", help="Checkpoint: tiny … large-v3, turbo, *.en for English only, or auto."),
    click.option("--language", help="Language that is spoken (en, de …), or detect."),
    click.option(
        "--task", type=click.Choice(["transcribe", "translate"]), help="Write it down, or translate it."
    ),
    click.option("--word-timestamps/--no-word-timestamps", default=None, help="Time each word."),
    click.option("--prompt", help="Names and terms that occur, as a hint for the model."),
    click.option("--beam-size", type=int, help="Search with so many beams, 1 to 20."),
    click.option("--priority", type=int, help="-10 to 10; above 0 for admins only."),
)


def settings_options(command: F) -> F:
    """Give ``command`` the options; it gets None for each that was left out."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were named among ``options``, and no others.

    They are checked among themselves, so that what no model honours is refused before anything is sent.
    Raises UsageError.
    """
    given = {NAMES[option]: options[option] for option in NAMES if options[option] is not None}
    for name, word in (("model", "auto"), ("language", "detect")):
        if given.get(name) == word:
            given[name] = None
    merged(JobSettings(), given)
    return given


def merged(base: JobSettings, given: dict[str, Any]) -> JobSettings:
    """Return ``base`` with what was given in its place. Raises UsageError when no model could honour it."""
    try:
        return msgspec.structs.replace(base, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def own_defaults(client: "Client") -> JobSettings:
    """Return the settings that the person's jobs begin with; where one may not ask for them, those of everybody."""
    try:
        return await client.accounts.defaults()
    except (NotFound, Forbidden):
        return JobSettings()
