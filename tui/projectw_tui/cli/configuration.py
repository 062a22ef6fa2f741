"""Looking at the configuration."""

import click

from projectw_tui.cli.context import Context, say


@click.group("config")
def config_commands() -> None:
    """Look at the configuration."""


@config_commands.command()
@click.pass_obj
def check(context: Context) -> None:
    """Check the configuration and say where it was found; all mistakes at once."""
    loaded = context.loaded
    source = (
        f"{loaded.path} is right" if loaded.path else "There is no configuration file: the defaults apply"
    )
    say(f"{source}; the server is {loaded.settings.server_url}.")
