"""The audit log: who did what."""

from typing import TYPE_CHECKING

import click

from projectw_tui.cli.admin.paging import Page, at_most
from projectw_tui.cli.context import Context, put_json, run_async, say
from projectw_tui.cli.tables import json_of, put_table
from projectw_tui.display import in_one_line

if TYPE_CHECKING:
    from projectw_shared.accounts import AuditEntry


@click.command()
@click.option("--action", help="Only entries of this action, such as login-failed.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def audit(context: Context, action: str | None, limit: int, as_json: bool) -> None:
    """List what was done, newest first: by whom, from where, to what."""
    run_async(_audit(context, action, limit, as_json))


async def _audit(context: Context, action: str | None, limit: int, as_json: bool) -> None:
    async with context.client() as client:

        async def page(count: int, cursor: str | None) -> "Page[AuditEntry]":
            found = await client.admin.audit(action=action, limit=count, cursor=cursor)
            return found.entries, found.next_cursor

        found = await at_most(limit, page)
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (
                "" if each.number is None else str(each.number),
                each.at,
                each.action,
                f"{each.actor_kind} {each.actor_id or ''}".strip(),
                each.address,
                each.object_id,
                in_one_line(each.details),
            )
            for each in found
        ]
        put_table(("NO", "WHEN", "ACTION", "BY", "FROM", "TO", "DETAILS"), rows, elastic=(6, 3, 5, 4))
    else:
        say("There are no such entries.")
