"""Signing in and out."""

import sys

import click

from projectw_shared.errors import Unavailable, Unreachable
from projectw_tui.cli.context import Context, run_async, say


@click.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def login(context: Context, email: str, password_stdin: bool) -> None:
    """Sign in as EMAIL and keep the session, in the keyring or in a file that only you can read."""
    run_async(_login(context, email, _password(password_stdin)))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password: use --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, err=True)
    return answer


async def _login(context: Context, email: str, password: str) -> None:
    async with context.client(signed_in=False) as client:
        await client.login(email, password)
        say(f"Signed in to {client.server_url} as {email}.")


@click.command()
@click.pass_obj
def logout(context: Context) -> None:
    """End the session and forget it."""
    run_async(_logout(context))


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
