"""Everybody's jobs: what they are, and in need, with a reason that their owner is told, what they say."""

from typing import TYPE_CHECKING

import click

from projectw_shared.jobs import JobState
from projectw_tui.cli.admin.paging import Page, at_most
from projectw_tui.cli.context import Context, put_json, run_async, say
from projectw_tui.cli.passwords import confirmed
from projectw_tui.cli.tables import json_of, put_table
from projectw_tui.cli.transcript import FORMATS, print_pieces
from projectw_tui.display import age, clock, size, state_word

if TYPE_CHECKING:
    from projectw_shared.accounts import AdminJob

LEAST_REASON = 10
"""Characters of a reason; a word would not say it."""


@click.command()
@click.argument("query", required=False)
@click.option(
    "--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state."
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def jobs(context: Context, query: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List everybody's jobs, newest first; with QUERY those whose file's name contains it."""
    run_async(_jobs(context, query, JobState(state) if state else None, limit, as_json))


async def _jobs(
    context: Context, query: str | None, state: JobState | None, limit: int, as_json: bool
) -> None:
    async with context.client() as client:

        async def page(count: int, cursor: str | None) -> "Page[AdminJob]":
            found = await client.admin.jobs(state=state, q=query, limit=count, cursor=cursor)
            return found.jobs, found.next_cursor

        found = await at_most(limit, page)
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (
                each.id,
                state_word(each),
                clock(each.duration),
                size(each.bytes),
                age(each.created_at),
                each.runner.name if each.runner else None,
                each.owner.email,
                each.file_name,
                each.error.code if each.error else None,
            )
            for each in found
        ]
        titles = ("ID", "STATE", "LENGTH", "SIZE", "AGE", "RUNNER", "OWNER", "FILE", "ERROR")
        put_table(titles, rows, elastic=(7, 6, 5, 8))
    else:
        say("There are no such jobs.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--reason", required=True, help="Why it has to be; the owner is told.")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="txt", show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def read(context: Context, job_id: str, reason: str, file_format: str, yes: bool) -> None:
    """Read somebody's transcript, where the operator allows it. Its owner is told who read it and why."""
    from projectw_shared.ids import is_id

    if not is_id(job_id.strip().lower()):
        raise click.UsageError("somebody's job is named by its whole id")
    if len(reason.strip()) < LEAST_REASON:
        raise click.UsageError(f"a reason has at least {LEAST_REASON} characters")
    confirmed("Read it? The owner is told your address and the reason.", yes=yes)
    run_async(_read(context, job_id.strip().lower(), reason.strip(), file_format))


async def _read(context: Context, job_id: str, reason: str, file_format: str) -> None:
    from projectw_shared.accounts import DisclosureWish

    wish = DisclosureWish(reason, file_format)
    async with context.client() as client, client.admin.disclose(job_id, wish) as pieces:
        await print_pieces(pieces, file_format)
