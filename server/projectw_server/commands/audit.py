"""The audit log, to the operator."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from projectw_server.accounts.chain import HEAD_FILE, Audit, to_entry
from projectw_server.commands.context import PROGRAM, print_json, settings_of, with_database
from projectw_server.db import Database
from projectw_shared.exits import Exit


@click.group("audit")
def audit_commands() -> None:
    """The log of who did what."""


@audit_commands.command("verify")
@click.option(
    "--head", metavar="NUMBER:HASH", help="An entry that must be there, as an earlier run printed it."
)
@click.pass_obj
def verify(config: Path | None, head: str | None) -> None:
    """Look whether an entry was changed, taken out or put in; exits with 1 if so.

    Prints the last entry as NUMBER:HASH. Kept in another place, it shows later that nothing before it was changed.
    """
    settings = settings_of(config)
    failed = False

    async def work(database: Database) -> None:
        nonlocal failed
        audit = Audit(database, settings.home / HEAD_FILE)
        verdict = await audit.verify(_expected(head))
        if verdict.fault is not None:
            click.echo(f"{PROGRAM}: entry {verdict.fault.number} {verdict.fault.what}.", err=True)
            failed = True
            return
        click.echo(f"{verdict.number}:{verdict.hash}")
        waiting = f", {verdict.waiting} not sealed yet" if verdict.waiting else ""
        click.echo(f"{verdict.number} entries, none changed or missing{waiting}.", err=True)
        if (through := verdict.cut.through) > 0:
            day = datetime.fromtimestamp(verdict.cut.before, UTC)
            click.echo(
                f"Of these, 1 to {through}, from before {day:%Y-%m-%d %H:%M} UTC, were removed because of their age.",
                err=True,
            )

    with_database(config, work)
    if failed:
        sys.exit(Exit.FAILED)


def _expected(head: str | None) -> tuple[int, str] | None:
    if head is None:
        return None
    number, colon, hash = head.partition(":")
    if not (colon and number.isascii() and number.isdigit() and len(number) < 19 and len(hash) == 64):
        raise click.UsageError("--head takes what 'audit verify' has printed, as in 42:9f86d0…")
    return int(number), hash.lower()


@audit_commands.command("export")
@click.pass_obj
def export(config: Path | None) -> None:
    """Print every entry as a line of JSON, the oldest first."""
    settings = settings_of(config)

    async def work(database: Database) -> None:
        async for row in Audit(database, settings.home / HEAD_FILE).entries():
            print_json(msgspec.json.encode(to_entry(row)))

    with_database(config, work)
