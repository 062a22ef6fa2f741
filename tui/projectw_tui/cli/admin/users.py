"""Everybody's accounts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from projectw_shared.errors import NotFound
from projectw_tui.cli.admin.paging import Page, at_most
from projectw_tui.cli.choosing import the_one
from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.passwords import confirmed, new_password, password_stdin, typed_again
from projectw_tui.cli.tables import json_of, put_table
from projectw_tui.display import account_state, bounded, clock, size
from projectw_tui.quotas import number_of_bytes, number_of_jobs, seconds_of_hours

if TYPE_CHECKING:
    from projectw_shared.accounts import AdminUser, Quota, UserChange
    from projectw_tui.client import Client

N = TypeVar("N", int, float)


@click.command()
@click.argument("query", required=False)
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def users(context: Context, query: str | None, limit: int, as_json: bool) -> None:
    """List accounts, newest first; with QUERY those whose address contains it."""
    run_async(_users(context, query, limit, as_json))


async def _users(context: Context, query: str | None, limit: int, as_json: bool) -> None:
    async with context.client() as client:
        found = await _search(client, query, limit)
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (
                each.id,
                account_state(each),
                bounded(clock(each.usage.audio_seconds), each.quota.audio_seconds, clock),
                bounded(size(each.usage.bytes), each.quota.bytes, size),
                bounded(str(each.usage.jobs), each.quota.jobs, str),
                each.created_at,
                each.email,
            )
            for each in found
        ]
        titles = ("ID", "STATE", "AUDIO THIS MONTH", "STORED", "WAITING", "SINCE", "ADDRESS")
        put_table(titles, rows, elastic=(6,))
    else:
        say("There is no such account." if query else "There are no accounts.")


async def _search(client: "Client", query: str | None, limit: int | None) -> "list[AdminUser]":
    async def page(count: int, cursor: str | None) -> "Page[AdminUser]":
        found = await client.admin.users(q=query, limit=count, cursor=cursor)
        return found.users, found.next_cursor

    return await at_most(limit, page)


async def _find(client: "Client", text: str) -> "AdminUser":
    """Return the account with that address, or with an id that ends or begins so. Raises NotFound, UsageError."""
    if "@" in text:
        wanted = text.strip().casefold()
        for each in await _search(client, text.strip(), None):
            if each.email.casefold() == wanted:
                return each
        raise NotFound(f"There is no account with the address {text}.")
    found = {each.id: each for each in await _search(client, None, None)}
    return found[the_one(text, found, "account")]


@click.group()
def user() -> None:
    """Make, change or delete one account."""


who = click.argument("who", metavar="EMAIL_OR_ID")
sure = click.option("--yes", is_flag=True, help="Do not ask.")


@user.command()
@click.argument("email")
@click.option("--admin", "is_admin", is_flag=True, help="Make it an admin's.")
@password_stdin
@click.pass_obj
def add(context: Context, email: str, is_admin: bool, from_stdin: bool) -> None:
    """Make an account for EMAIL, which needs no confirmation. Prints its id."""
    run_async(_add(context, email, new_password(from_stdin, "Password"), is_admin))


async def _add(context: Context, email: str, password: str, is_admin: bool) -> None:
    async with context.client() as client:
        made = await client.admin.add_user(email, password, is_admin=is_admin)
    put(made.id)


@user.command()
@who
@sure
@click.pass_obj
def disable(context: Context, who: str, yes: bool) -> None:
    """Disable an account at once; what it owns is kept, and its jobs are cancelled."""
    from projectw_shared.accounts import UserChange

    question = "Disable {}? All sessions and tokens stop working at once, and all jobs are cancelled."
    run_async(_change(context, who, UserChange(disabled=True), "disabled", question, yes))


@user.command()
@who
@click.pass_obj
def enable(context: Context, who: str) -> None:
    """Let somebody in again."""
    from projectw_shared.accounts import UserChange

    run_async(_change(context, who, UserChange(disabled=False), "enabled"))


@user.command()
@who
@sure
@click.pass_obj
def promote(context: Context, who: str, yes: bool) -> None:
    """Make somebody an admin."""
    from projectw_shared.accounts import UserChange

    question = "Make {} an admin, who may do all that you may do?"
    run_async(_change(context, who, UserChange(is_admin=True), "an admin now", question, yes))


@user.command()
@who
@sure
@click.pass_obj
def demote(context: Context, who: str, yes: bool) -> None:
    """Make an admin an ordinary user."""
    from projectw_shared.accounts import UserChange

    question = "Take the rights of an admin from {}?"
    run_async(_change(context, who, UserChange(is_admin=False), "no admin any more", question, yes))


@user.command("reset-password")
@who
@password_stdin
@click.pass_obj
def reset_password(context: Context, who: str, from_stdin: bool) -> None:
    """Set somebody's password; ends their sessions."""
    from projectw_shared.accounts import UserChange

    change = UserChange(new_password=new_password(from_stdin))
    run_async(_change(context, who, change, "given the new password"))


async def _change(
    context: Context, who: str, change: "UserChange", done: str, question: str = "", yes: bool = True
) -> None:
    async with context.client() as client:
        found = await _find(client, who)
        confirmed(question.format(found.email), yes=yes)
        await client.admin.change_user(found.id, change)
    say(f"{found.email} is {done}.")


@user.command()
@who
@click.option("--audio-hours", metavar="N|none", help="Hours of audio a month.")
@click.option("--storage", metavar="SIZE|none", help="What is stored at once: 500M, 20G.")
@click.option("--jobs", metavar="N|none", help="Jobs that wait at once.")
@click.option("--reset", is_flag=True, help="Go back to the quota of the installation.")
@click.pass_obj
def quota(
    context: Context, who: str, audio_hours: str | None, storage: str | None, jobs: str | None, reset: bool
) -> None:
    """Bound what somebody may use; what is not named stays as it is, none is without bound."""
    named = (audio_hours, storage, jobs)
    if reset == any(value is not None for value in named):
        raise click.UsageError("name a bound, such as --storage 20G, or --reset")
    run_async(_quota(context, who, None if reset else named))


async def _quota(context: Context, who: str, named: tuple[str | None, str | None, str | None] | None) -> None:
    from projectw_shared.accounts import UserChange

    async with context.client() as client:
        found = await _find(client, who)
        wanted = None if named is None else _bounds(found.quota, *named)
        changed = await client.admin.change_user(found.id, UserChange(quota=wanted))
    quota = changed.quota
    told = (
        f"audio {_at_most(quota.audio_seconds, clock)}",
        f"storage {_at_most(quota.bytes, size)}",
        f"waiting jobs {_at_most(quota.jobs, str)}",
    )
    say(f"{changed.email} may use: {', '.join(told)}" + (", as everybody." if wanted is None else "."))


def _at_most(bound: N | None, words: Callable[[N], str]) -> str:
    return "without bound" if bound is None else f"up to {words(bound)}"


def _bounds(present: "Quota", audio_hours: str | None, storage: str | None, jobs: str | None) -> "Quota":
    from projectw_shared.accounts import Quota

    try:
        return Quota(
            present.audio_seconds if audio_hours is None else seconds_of_hours(audio_hours),
            present.bytes if storage is None else number_of_bytes(storage),
            present.jobs if jobs is None else number_of_jobs(jobs),
        )
    except ValueError as error:
        raise click.UsageError(f"{error}; a bound is a number, or none") from None


@user.command()
@who
@sure
@click.pass_obj
def delete(context: Context, who: str, yes: bool) -> None:
    """Delete an account with every recording and transcript that it owns."""
    run_async(_delete(context, who, yes))


async def _delete(context: Context, who: str, yes: bool) -> None:
    async with context.client() as client:
        found = await _find(client, who)
        typed_again(found.email, "The account and all that it owns are deleted for good.", yes=yes)
        await client.admin.delete_user(found.id)
    say(f"{found.email} is deleted.")
