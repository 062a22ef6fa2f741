"""One's own account: what it may use and uses, its password and address, its end."""

from typing import TYPE_CHECKING

import click

from projectw_tui import codes
from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.passwords import (
    new_password,
    password_stdin,
    passwords_stdin,
    present_password,
    typed_again,
)
from projectw_tui.cli.tables import facts, json_of, put_table
from projectw_tui.display import bounded, clock, minute, size

if TYPE_CHECKING:
    from projectw_shared.accounts import User


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def account(ctx: click.Context, as_json: bool) -> None:
    """Show the account that is signed in, with its quota and what it uses."""
    if ctx.invoked_subcommand is None:
        run_async(_show(ctx.obj, as_json))


async def _show(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        user = await client.accounts.me()
    if as_json:
        put_json(json_of(user))
    else:
        put(*_facts(user))


def _facts(user: "User") -> list[str]:
    quota, usage = user.quota, user.usage
    waits = f"{user.unconfirmed_email} (projectw activate CODE)" if user.unconfirmed_email else None
    return facts(
        {
            "address": user.email if user.confirmed else None,
            "waits for a code": waits,
            "id": user.id,
            "admin": user.is_admin,
            "since": minute(user.created_at),
            "audio this month": bounded(clock(usage.audio_seconds), quota.audio_seconds, clock),
            "stored": bounded(size(usage.bytes), quota.bytes, size),
            "jobs that wait": bounded(str(usage.jobs), quota.jobs, str),
        }
    )


@account.command()
@click.option("--yes", is_flag=True, help="Do not ask for the address.")
@password_stdin
@click.pass_obj
def delete(context: Context, yes: bool, from_stdin: bool) -> None:
    """Delete your account with every recording, transcript, session and token."""
    run_async(_delete(context, yes, from_stdin))


async def _delete(context: Context, yes: bool, from_stdin: bool) -> None:
    async with context.client() as client:
        user = await client.accounts.me()
        address = user.email if user.confirmed else user.unconfirmed_email or user.email
        typed_again(address, "The account and all its recordings and transcripts are deleted.", yes=yes)
        await client.accounts.delete(present_password(from_stdin))
    say(f"The account {address} is deleted.")


@click.command()
@passwords_stdin
@click.pass_obj
def password(context: Context, from_stdin: bool) -> None:
    """Change your password. Ends all your other sessions."""
    run_async(_password(context, present_password(from_stdin, "Present password"), new_password(from_stdin)))


async def _password(context: Context, present: str, new: str) -> None:
    async with context.client() as client:
        await client.accounts.change_password(present, new)
    say("The password is changed, and all other sessions have ended.")


@click.command()
@click.argument("new_email")
@password_stdin
@click.pass_obj
def email(context: Context, new_email: str, from_stdin: bool) -> None:
    """Change your address to NEW_EMAIL, once it is confirmed with the code that is sent there."""
    run_async(_email(context, new_email, present_password(from_stdin)))


async def _email(context: Context, new_email: str, present: str) -> None:
    async with context.client() as client:
        await client.accounts.change_email(present, new_email)
        where = codes.sent(new_email, await client.about())
    say(f"{where} Confirm the address with it: projectw activate CODE")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def disclosures(context: Context, as_json: bool) -> None:
    """List what admins have read of yours, and why."""
    run_async(_disclosures(context, as_json))


async def _disclosures(context: Context, as_json: bool) -> None:
    async with context.client() as client:
        found = await client.accounts.disclosures()
    if as_json:
        put_json(json_of(found))
    elif found:
        rows = [
            (each.at, each.admin or "(deleted)", each.file_name or f"(deleted) {each.job_id}", each.reason)
            for each in found
        ]
        put_table(("WHEN", "WHO", "FILE", "REASON"), rows, elastic=(1, 2, 3))
    else:
        say("No admin has read anything of yours.")
