"""What admins do to a server from afar: people, runners, everybody's jobs, the audit log."""

import click

from projectw_tui.cli.admin.audit import audit
from projectw_tui.cli.admin.jobs import jobs, read
from projectw_tui.cli.admin.runners import runner, runners
from projectw_tui.cli.admin.users import user, users


@click.group()
def admin() -> None:
    """Look after users, runners and jobs; for admins only."""


for command in (users, user, runners, runner, jobs, read, audit):
    admin.add_command(command)
