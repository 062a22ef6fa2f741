"""Looking at a whole installation."""

import sys
from pathlib import Path

import click
import msgspec

from projectw_server.commands.context import print_json, settings_of, with_database
from projectw_server.db import Database
from projectw_shared.findings import Finding, render, verdict


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--repair", is_flag=True, help="Remove recordings that have belonged to no job for an hour.")
@click.pass_obj
def doctor(config: Path | None, as_json: bool, repair: bool) -> None:
    """Look whether the installation is whole, and say how to mend what is not; also while the server runs."""
    # Imported here: it brings the storage, which the other commands need not wait for.
    from projectw_server.commands.examining import examine
    from projectw_server.storage.folder import FolderStore

    settings = settings_of(config)
    findings: list[Finding] = []

    async def work(database: Database) -> None:
        store = FolderStore(settings.recordings)
        async for finding in examine(settings, database, store, repair=repair):
            findings.append(finding)
            if not as_json:
                click.echo(render(finding))

    with_database(config, work)
    if as_json:
        print_json(msgspec.json.format(msgspec.json.encode(findings)))
    sys.exit(verdict(findings))
