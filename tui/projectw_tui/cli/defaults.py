"""The settings that one's jobs begin with."""

from typing import Any

import click

from projectw_shared.jobs import JobSettings
from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.tables import facts, json_of
from projectw_tui.cli.wishes import given_of, merged, settings_options
from projectw_tui.display import language_name


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def defaults(ctx: click.Context, as_json: bool) -> None:
    """Show the settings that your jobs begin with, or change them."""
    if ctx.invoked_subcommand is None:
        run_async(_show(ctx.obj, as_json))


async def _show(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        found = await client.accounts.defaults()
    if as_json:
        put_json(json_of(found))
    else:
        put(*_facts(found))


def _facts(found: JobSettings) -> list[str]:
    return facts(
        {
            "model": found.model or "auto",
            "language": language_name(found.language) or "detect",
            "task": found.task,
            "word timestamps": found.word_timestamps,
            "prompt": found.initial_prompt,
            "beam size": found.beam_size,
            "priority": found.priority or None,
        }
    )


@defaults.command("set")
@settings_options
@click.pass_obj
def set_defaults(context: Context, /, **options: Any) -> None:
    """Change the settings that are named; the others stay as they are."""
    given = given_of(options)
    if not given:
        raise click.UsageError("name what is to be changed, such as --language de")
    run_async(_set(context, given))


async def _set(context: Context, given: dict[str, Any]) -> None:
    async with context.client() as client:
        wished = merged(await client.accounts.defaults(), given)
        await client.accounts.set_defaults(wished)
    say("Your jobs begin with:")
    for line in _facts(wished):
        say(line)


@defaults.command()
@click.pass_obj
def clear(context: Context) -> None:
    """Go back to the settings that everybody begins with."""
    run_async(_clear(context))


async def _clear(context: Context) -> None:
    async with context.client() as client:
        await client.accounts.set_defaults(JobSettings())
    say("Your jobs begin with the settings of everybody.")
