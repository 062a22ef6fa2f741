"""The command group, and the one place where a command's failure becomes a sentence and an exit code."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from projectw_shared import __version__, usage
from projectw_shared.errors import ProjectWError
from projectw_shared.exits import Exit, exit_code
from projectw_tui.cli.account import account, disclosures, email, password
from projectw_tui.cli.admin import admin
from projectw_tui.cli.configuration import config_commands
from projectw_tui.cli.context import Context, WrongConfiguration, describe, say
from projectw_tui.cli.defaults import defaults
from projectw_tui.cli.estimate import estimate
from projectw_tui.cli.jobs import cancel, delete, jobs, retry, show
from projectw_tui.cli.joining import activate, reset, signup
from projectw_tui.cli.sessions import sessions
from projectw_tui.cli.signing import login, logout
from projectw_tui.cli.submit import submit
from projectw_tui.cli.tokens import tokens
from projectw_tui.cli.transcript import transcript


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (YAML).")
@click.option("--server", metavar="URL", help="Address of the server; also PROJECTW_SERVER, tui.server_url.")
@click.option(
    "--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Write a line there for each request."
)
@click.version_option(__version__, prog_name="projectw")
@click.pass_context
def projectw(ctx: click.Context, config: Path | None, server: str | None, log_file: Path | None) -> None:
    """Turn recordings into text on a Project W server.

    Without a command it opens the full-screen interface. PROJECTW_TOKEN is used instead of a session.
    """
    ctx.obj = Context(config, server, log_file)
    if ctx.invoked_subcommand is None:
        _full_screen(ctx)


COMMANDS = (
    *(login, logout, signup, activate, reset),
    *(submit, estimate, jobs, show, transcript, cancel, retry, delete),
    *(account, password, email, sessions, tokens, defaults, disclosures),
    *(admin, config_commands),
)

for command in COMMANDS:
    projectw.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run the program with ``arguments`` and return its exit code."""
    # Unset, the warnings of libraries would go to the terminal, with whatever a server has made them say.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        projectw.main(list(arguments), prog_name="projectw", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except WrongConfiguration as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        usage.show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("Interrupted.")
        return Exit.INTERRUPTED
    except ProjectWError as error:
        say(f"projectw: {describe(error)}")
        return exit_code(error)
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing may be written while the program ends.
        sys.stdout = None
        return Exit.FAILED
    except OSError as error:
        say(f"projectw: {describe(error)}")
        return Exit.FAILED
    return Exit.DONE


def _full_screen(ctx: click.Context) -> None:
    # The interface is drawn on stderr, which is what stays a terminal in a pipeline.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise click.UsageError("the full-screen interface needs a terminal; give a command", ctx)
    context: Context = ctx.obj
    settings = context.settings
    from projectw_tui.app import InvalidThemeError, ProjectWApp
    from projectw_tui.logs import RequestLog

    if settings.log_file:
        RequestLog(settings.log_file, settings.log_format)  # refused here, where a sentence can still be read
    try:
        app = ProjectWApp(settings, token=context.token)
    except InvalidThemeError:
        raise WrongConfiguration(
            f"tui.theme: there is no theme {settings.theme!r}; try projectw, textual-light or ansi-dark"
        ) from None
    app.run()
    ctx.exit(app.return_code or 0)
