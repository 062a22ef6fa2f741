"""Signing in and out."""

import click

from projectw_shared.errors import Unavailable, Unreachable
from projectw_tui.cli.context import Context, run_async, say
from projectw_tui.cli.passwords import password_stdin, present_password


@click.command()
@click.argument("email")
@password_stdin
@click.pass_obj
def login(context: Context, email: str, from_stdin: bool) -> None:
    """Sign in as EMAIL and keep the session, in the keyring or in a file that only you can read."""
    run_async(_login(context, email, present_password(from_stdin)))


async def _login(context: Context, email: str, password: str) -> None:
    async with context.client(signed_in=False) as client:
        await client.login(email, password)
        say(f"Signed in to {client.server_url} as {email}.")
    if context.token is not None:
        say("PROJECTW_TOKEN is set and goes on being used instead; unset it to use the session.")


@click.command()
@click.option("--everywhere", is_flag=True, help="End your sessions on all machines.")
@click.pass_obj
def logout(context: Context, everywhere: bool) -> None:
    """End the session and forget it."""
    run_async(_log_out_everywhere(context) if everywhere else _logout(context))


async def _logout(context: Context) -> None:
    async with context.client(signed_in=False) as client:
        if await client.is_signed_in():
            try:
                await client.logout()
            except (Unreachable, Unavailable):
                say(
                    "The session is forgotten here; the server could not be told, there it runs out by itself."
                )
                raise
        say(f"Logged out of {client.server_url}.")


async def _log_out_everywhere(context: Context) -> None:
    # Nothing is forgotten when it fails: the session is what one needs to try again.
    async with context.client() as client:
        await client.accounts.log_out_everywhere()
        say(f"Logged out of {client.server_url} everywhere.")
