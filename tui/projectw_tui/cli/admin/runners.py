"""The machines that transcribe."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from projectw_tui.cli.choosing import the_one
from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.passwords import confirmed
from projectw_tui.cli.tables import json_of, put_table
from projectw_tui.display import age, runner_state

if TYPE_CHECKING:
    from projectw_shared.messages import RunnerInfo
    from projectw_tui.client import Client


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def runners(context: Context, as_json: bool) -> None:
    """List the runners."""
    run_async(_runners(context, as_json))


async def _runners(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        found = await client.admin.runners()
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (
                each.id,
                runner_state(each),
                age(each.last_seen) if each.last_seen else "never",
                each.version,
                each.engine,
                each.device,
                each.job,
                each.name,
                each.cordon_reason,
            )
            for each in found
        ]
        titles = ("ID", "STATE", "SEEN", "VERSION", "ENGINE", "DEVICE", "JOB", "NAME", "NOTE")
        put_table(titles, rows, elastic=(8, 7, 5, 6, 4, 3))
    else:
        say("There are no runners; make one with: projectw admin runner create NAME")


@click.group()
def runner() -> None:
    """Make a runner, or say what becomes of one."""


which = click.argument("which", metavar="NAME_OR_ID")
sure = click.option("--yes", is_flag=True, help="Do not ask.")


@runner.command()
@click.argument("name")
@click.pass_obj
def create(context: Context, name: str) -> None:
    """Make a runner called NAME and print its token, which is shown this once."""
    run_async(_create(context, name))


async def _create(context: Context, name: str) -> None:
    async with context.client() as client:
        made = await client.admin.create_runner(name)
    put(made.token)
    say("This token is not shown again; it belongs into runner.token_file on the machine that transcribes.")


@runner.command()
@which
@click.pass_obj
def cordon(context: Context, which: str) -> None:
    """Give a runner no new jobs; it finishes what it holds."""
    run_async(_tell(context, which, lambda client: client.admin.cordon, "gets no new jobs"))


@runner.command()
@which
@click.pass_obj
def uncordon(context: Context, which: str) -> None:
    """Give a runner jobs again."""
    run_async(_tell(context, which, lambda client: client.admin.uncordon, "gets jobs again"))


@runner.command()
@which
@sure
@click.pass_obj
def drain(context: Context, which: str, yes: bool) -> None:
    """Let a runner finish what it holds, and end."""
    question = "Let {} finish what it holds, and end?"
    run_async(_tell(context, which, lambda client: client.admin.drain, "ends after its job", question, yes))


@runner.command()
@which
@sure
@click.pass_obj
def revoke(context: Context, which: str, yes: bool) -> None:
    """Delete a runner: its token opens nothing any more, what it holds is queued again."""
    question = "Revoke the token of {}? What it holds is queued again."
    run_async(_tell(context, which, lambda client: client.admin.revoke_runner, "is revoked", question, yes))


async def _tell(
    context: Context,
    which: str,
    deed: "Callable[[Client], Callable[[str], Awaitable[None]]]",
    done: str,
    question: str = "",
    yes: bool = True,
) -> None:
    async with context.client() as client:
        found = _find(await client.admin.runners(), which)
        confirmed(question.format(found.name), yes=yes)
        await deed(client)(found.id)
    say(f"{found.name} {done}.")


def _find(runners: "list[RunnerInfo]", text: str) -> "RunnerInfo":
    known = {each.id: each for each in runners}
    return known[the_one(text, known, "runner", names=[(each.name, each.id) for each in runners])]
