"""One's sign-ins."""

import click

from projectw_tui.cli.choosing import the_one
from projectw_tui.cli.context import Context, put_json, run_async, say
from projectw_tui.cli.tables import json_of, put_table


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_context
def sessions(ctx: click.Context, as_json: bool) -> None:
    """List where you are signed in, or end one of these sessions."""
    if ctx.invoked_subcommand is None:
        run_async(_list(ctx.obj, as_json))


async def _list(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        found = await client.accounts.sessions()
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (each.id, "*" if each.current else "", each.created_at, each.used_at, each.address, each.client)
            for each in found
        ]
        put_table(("ID", "", "SINCE", "LAST USED", "FROM", "PROGRAM"), rows, elastic=(5, 4))
    else:
        say("There are no sessions.")


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.pass_obj
def revoke(context: Context, session_id: str) -> None:
    """End a session. Of an ID its end is enough."""
    run_async(_revoke(context, session_id))


async def _revoke(context: Context, text: str) -> None:
    async with context.client() as client:
        found = the_one(text, [each.id for each in await client.accounts.sessions()], "session")
        await client.accounts.revoke_session(found)
    say(f"The session {found} has ended.")
