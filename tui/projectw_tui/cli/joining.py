"""Getting an account, and getting back into it: sign-up, activation, reset."""

import click

from projectw_tui import codes
from projectw_tui.cli.context import Context, run_async, say
from projectw_tui.cli.passwords import asked_code, has_terminal, new_password, password_stdin


@click.command()
@click.argument("email")
@password_stdin
@click.pass_obj
def signup(context: Context, email: str, from_stdin: bool) -> None:
    """Ask for an account for EMAIL, where the server lets people sign up. A code comes by mail."""
    run_async(_signup(context, email, new_password(from_stdin, "Password")))


async def _signup(context: Context, email: str, password: str) -> None:
    async with context.client(signed_in=False) as client:
        await client.accounts.sign_up(email, password)
        where = codes.sent(email, await client.about())
    say(f"{where} Activate the account with it: projectw activate CODE")


@click.command()
@click.argument("code", required=False)
@click.option("--resend", is_flag=True, help="Have another mail sent; you have to be signed in.")
@click.pass_obj
def activate(context: Context, code: str | None, resend: bool) -> None:
    """Confirm an e-mail address with the CODE from a mail; asks for it when it is left out."""
    if resend and code:
        raise click.UsageError("either a code, or --resend for another one")
    run_async(_resend(context) if resend else _activate(context, code or asked_code()))


async def _activate(context: Context, code: str) -> None:
    async with context.client(signed_in=False) as client:
        await client.accounts.activate(code)
        next_step = "." if await client.is_signed_in() else "; sign in with: projectw login EMAIL"
    say(f"The address is confirmed{next_step}")


async def _resend(context: Context) -> None:
    async with context.client() as client:
        await client.accounts.resend_code()
        where = codes.sent_again(await client.about())
    say(where)


@click.command()
@click.argument("email", required=False)
@click.option("--code", help="The code from the mail.")
@password_stdin
@click.pass_obj
def reset(context: Context, email: str | None, code: str | None, from_stdin: bool) -> None:
    """Set a new password in place of a forgotten one. Ends every session and API token of the account.

    With EMAIL a code is sent there, and asked for; with --code the new password is set.
    """
    if (email is None) == (code is None):
        raise click.UsageError("either an EMAIL that a code is sent to, or --code CODE")
    if from_stdin and code is None:
        raise click.UsageError("--password-stdin needs --code CODE")
    run_async(_reset(context, email, code, from_stdin))


async def _reset(context: Context, email: str | None, code: str | None, from_stdin: bool) -> None:
    async with context.client(signed_in=False) as client:
        if email is not None:
            await client.accounts.ask_for_reset(email)
            say(codes.sent_to_reset(email, await client.about()))
            if not has_terminal():
                say("Go on with: projectw reset --code CODE")
                return
        await client.accounts.reset(code or asked_code(), new_password(from_stdin))
    say("The new password is set; sign in with: projectw login EMAIL")
