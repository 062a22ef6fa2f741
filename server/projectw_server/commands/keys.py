"""The keys that sign tokens."""

import asyncio
import time
from pathlib import Path

import click

from projectw_server import home
from projectw_server.accounts.acting import OPERATOR, acting
from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.keys import key_file, rotate, signing_keys
from projectw_server.clock import moment
from projectw_server.commands.context import settings_of
from projectw_server.db import Database, open_database
from projectw_shared.text import safe


@click.group("keys")
def keys_commands() -> None:
    """The keys that sign people's tokens."""


@keys_commands.command("rotate")
@click.option(
    "--now", "at_once", is_flag=True, help="End the former keys now: everybody has to sign in anew."
)
@click.pass_obj
def rotate_keys(config: Path | None, at_once: bool) -> None:
    """Make a new key, also while the server runs.

    Tokens of the key before stay good until they run out, unless --now is given, as after a key was seen by others.
    """
    settings = settings_of(config)
    home.prepare(settings.home)

    async def whole() -> float | None:
        async with open_database(settings.database) as database:
            return await _noted(database)

    async def _noted(database: Database) -> float | None:
        until = rotate(settings, now=time.time(), at_once=at_once)
        with acting(OPERATOR):
            await note(database, Action.KEYS_ROTATED, None, at_once=at_once)
        return until

    until = asyncio.run(whole())
    click.echo(f"There is a new key in {safe(str(key_file(settings)))}.", err=True)
    if until is None:
        click.echo("The former ones are gone: everybody has to sign in anew.", err=True)
    else:
        click.echo(
            f"What the one before has signed is good until {moment(until):%Y-%m-%d %H:%M} UTC.", err=True
        )
    click.echo(
        "Servers that share a database each need the new file; one that reads it takes it over at once.",
        err=True,
    )


@keys_commands.command("list")
@click.pass_obj
def list_keys(config: Path | None) -> None:
    """Say which keys are in force, by the names that stand in the tokens; never the keys themselves."""
    settings = settings_of(config)
    home.prepare(settings.home)
    for key in signing_keys(settings).find(None, time.time()):
        ends = "in use" if key.until is None else f"until {moment(key.until):%Y-%m-%d %H:%M} UTC"
        click.echo(f"{key.id}  {ends}")
