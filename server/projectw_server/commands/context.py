"""What the commands have in common: settings, the database, passwords, tables."""

import asyncio
import sys
import warnings
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from projectw_server import home, logs
from projectw_server.accounts.acting import OPERATOR, become
from projectw_server.accounts.chain import HEAD_FILE, Audit
from projectw_server.accounts.passwords import MAX_BYTES
from projectw_server.db import Database, open_database
from projectw_server.secrets import with_secrets
from projectw_server.settings import ServerSettings
from projectw_shared.config import load
from projectw_shared.text import columns, fit, safe, safe_json

PROGRAM = "projectw-server"

WIDEST_CELL = 60
"""Columns of a terminal that a value takes in a table; --json gives it whole."""


def settings_of(config: Path | None, **overrides: Any) -> ServerSettings:
    """Return the settings in force, their secrets read, and send the log to stderr. Raises ConfigError."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings = with_secrets(load("server", ServerSettings, config=config, overrides=overrides).settings)
    logs.set_up(settings.log_level, settings.log_format)
    for warning in caught:
        click.echo(f"{PROGRAM}: {safe(str(warning.message))}", err=True)
    return settings


def with_database(config: Path | None, work: Callable[[Database], Awaitable[None]]) -> None:
    """Do ``work`` with the open database, as the operator."""
    settings = settings_of(config)
    home.prepare(settings.home)

    async def whole() -> None:
        become(OPERATOR)
        async with open_database(settings.database) as database:
            await work(database)
            # What the command has done; a server may not be there to do it.
            await Audit(database, settings.home / HEAD_FILE).seal()

    asyncio.run(whole())


def ask_password(from_stdin: bool) -> str:
    """Return a password that is typed twice, or the first line of standard input."""
    if not from_stdin:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask for the password: use --password-stdin")
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return password
    # One line, and no more than could be right: a wrong file on standard input must not fill the memory.
    line = sys.stdin.buffer.readline(2 * MAX_BYTES).rstrip(b"\r\n")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError("The password on standard input is not UTF-8.") from error


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print ``rows`` as JSON, or as a table that is harmless in a terminal."""
    if as_json:
        print_json(msgspec.json.encode(rows))
        return
    table = (
        [[name.upper() for name in rows[0]], *([_cell(each) for each in row.values()] for row in rows)]
        if rows
        else []
    )
    widths = [max(map(columns, column)) for column in zip(*table, strict=True)]
    for line in table:
        padded = (cell + " " * (width - columns(cell)) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_json(document: bytes) -> None:
    """Print a document byte for byte, and on a terminal with escapes for what would act there."""
    text = document.decode()
    click.echo(safe_json(text) if sys.stdout.isatty() else text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return fit(safe(str(value)), WIDEST_CELL)
