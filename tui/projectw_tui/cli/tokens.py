"""API tokens, for scripts."""

from datetime import datetime

import click

from projectw_tui.cli.choosing import the_one
from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.tables import json_of, put_table
from projectw_tui.display import minute
from projectw_tui.expiry import expiry


def _moment(_ctx: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else expiry(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_context
def tokens(ctx: click.Context, as_json: bool) -> None:
    """List your API tokens, make one, or revoke one."""
    if ctx.invoked_subcommand is None:
        run_async(_list(ctx.obj, as_json))


async def _list(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        found = await client.accounts.tokens()
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (
                each.id,
                each.scope,
                each.created_at,
                minute(each.expires_at) or "never",
                each.used_at,
                each.name,
            )
            for each in found
        ]
        put_table(("ID", "SCOPE", "MADE", "ENDS", "LAST USED", "NAME"), rows, elastic=(5,))
    else:
        say("There are no API tokens.")


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "write"]),
    default="read",
    show_default=True,
    help="read: look at jobs; write: also submit, cancel and delete them.",
)
@click.option(
    "--expires",
    metavar="90d|DATE",
    callback=_moment,
    help="When it ends: 90d, 12h, 4w, or a day. Left out, it does not.",
)
@click.pass_obj
def create(context: Context, name: str, scope: str, expires: datetime | None) -> None:
    """Make an API token called NAME and print its secret, which is shown this once."""
    run_async(_create(context, name, scope, expires))


async def _create(context: Context, name: str, scope: str, expires: datetime | None) -> None:
    from projectw_shared.accounts import NewToken

    async with context.client() as client:
        made = await client.accounts.create_token(
            NewToken(name, "write" if scope == "write" else "read", expires)
        )
    put(made.token)
    end = f"until {minute(made.expires_at)} UTC" if made.expires_at else "until you revoke it"
    say(f"This secret is not shown again. It counts {end}: PROJECTW_TOKEN, or Authorization: Bearer …")


@tokens.command()
@click.argument("token_id", metavar="NAME_OR_ID")
@click.pass_obj
def revoke(context: Context, token_id: str) -> None:
    """End an API token, which counts no more from then on. Its name or the end of its ID is enough."""
    run_async(_revoke(context, token_id))


async def _revoke(context: Context, text: str) -> None:
    async with context.client() as client:
        found = await client.accounts.tokens()
        ids = [each.id for each in found]
        chosen = the_one(text, ids, "token", names=[(each.name, each.id) for each in found])
        await client.accounts.revoke_token(chosen)
    say(f"The token {chosen} is revoked.")
