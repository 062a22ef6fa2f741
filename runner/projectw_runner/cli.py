"""The commands of ``projectw-runner``: stdout is for data, stderr for talk, and the exit code means something."""

import asyncio
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from projectw_runner.settings import RunnerSettings
from projectw_shared import __version__, usage
from projectw_shared.config import ConfigError, Loaded, Mistake, ReadableByOthers, load
from projectw_shared.errors import ProjectWError, SessionLost, Unauthorized
from projectw_shared.exits import Exit, exit_code
from projectw_shared.extras import missing_extra
from projectw_shared.text import safe, safe_json

A_FILE = click.Path(path_type=Path, dir_okay=False)
A_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=A_FILE, help="The configuration file (default: searched for, see the manual).")
@click.option("--engine", help="For run: how to transcribe, as its own option of that name.")
@click.version_option(__version__, prog_name="projectw-runner")
@click.pass_context
def commands(context: click.Context, config: Path | None, engine: str | None) -> None:
    """Transcribe recordings for a Project W server, one at a time."""
    context.obj = config
    if engine is not None:
        if context.invoked_subcommand != "run":
            raise click.UsageError("--engine is for the command run alone")
        context.default_map = {"run": {"engine": engine}}


@commands.command()
@click.option("--server-url", help="The address of the server.")
@click.option("--token-file", type=A_FILE, help="A file that holds the runner's token.")
@click.option("--name", help="What people see of this runner.")
@click.option("--engine", help="How to transcribe: whisper, faster-whisper or fake.")
@click.option("--device", help="Where to compute: auto, cpu, cuda, cuda:1.")
@click.option("--models-dir", type=A_FOLDER, help="The folder of the checkpoints.")
@click.option("--work-dir", type=A_FOLDER, help="Where recordings lie while they are worked on.")
@click.pass_obj
def run(config: Path | None, /, **options: Any) -> Exit:
    """Take jobs until stopped: SIGTERM hands the held job back, a second one ends at once."""
    settings = _load(config, options).settings
    from projectw_runner import logs, program

    logs.configure(settings.log_level, settings.log_format)
    token = _token(settings)
    if token is None:
        reason = "is not set, nor token_file; 'projectw-server runner add NAME' makes a token"
        raise ConfigError([Mistake("runner.token", None, reason)])
    asyncio.run(program.run(settings, token))
    return Exit.DONE


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@click.pass_obj
def doctor(config: Path | None, as_json: bool) -> Exit:
    """Look at all that a runner needs, and say how to mend what is missing."""
    from projectw_runner.doctor import examine
    from projectw_shared.findings import render, verdict

    settings = _load(config).settings

    async def look() -> Exit:
        findings = []
        async for finding in examine(settings, _token(settings)):
            findings.append(finding)
            if not as_json:
                click.echo(render(finding))
        if as_json:
            document = msgspec.json.format(msgspec.json.encode(findings)).decode()
            click.echo(safe_json(document) if sys.stdout.isatty() else document)
        return verdict(findings)

    return asyncio.run(look())


@commands.group()
@click.option("--models-dir", type=A_FOLDER, help="The folder of the checkpoints.")
@click.pass_context
def models(context: click.Context, models_dir: Path | None) -> None:
    """See, fetch and check the checkpoints, the weights of Whisper."""
    from projectw_runner.checkpoints import DEFAULT_MIRRORS, CheckpointStore

    settings = _load(context.obj, {"models_dir": models_dir}).settings
    mirrors = DEFAULT_MIRRORS if settings.mirrors is None else settings.mirrors
    context.obj = CheckpointStore(settings.models_dir, mirrors=mirrors)


@models.command("list")
@click.pass_obj
def list_models(store: Any) -> Exit:
    """List the checkpoints that there are, and where those lie that are here."""
    from projectw_shared.jobs import MODELS

    for name in MODELS:
        path = store.find(name)
        click.echo(f"{name:<16}{_size(path) + '  ' + safe(str(path)) if path else '-'}")
    return Exit.DONE


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.pass_obj
def pull(store: Any, names: tuple[str, ...]) -> Exit:
    """Fetch checkpoints, and compare them with the SHA-256 that OpenAI has published."""
    for name in names:
        meter = Meter(name)
        try:
            path = asyncio.run(store.pull(name, meter))
        finally:
            meter.close()
        click.echo(safe(str(path)) if sys.stdout.isatty() else str(path))
    return Exit.DONE


@models.command()
@click.pass_obj
def verify(store: Any) -> Exit:
    """Read every checkpoint that is here and compare its SHA-256."""
    damaged = 0
    for checked in store.verify():
        damaged += not checked.is_genuine
        state = "ok" if checked.is_genuine else "DAMAGED"
        click.echo(f"{checked.name:<16}{state:<9}{safe(str(checked.path))}")
    return Exit.FAILED if damaged else Exit.DONE


@commands.group("config")
def configuration() -> None:
    """Look at the configuration."""


@configuration.command()
@click.pass_obj
def check(config: Path | None) -> Exit:
    """Check the configuration file and its secrets, without starting anything."""
    loaded = _load(config)
    _token(loaded.settings)
    click.echo(f"{safe(str(loaded.path or 'No configuration file, the defaults'))}: no mistakes")
    return Exit.DONE


class Meter:
    """Says how far a download is: a line that is written over on a terminal, nothing elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = safe(name)
        self._shown = ""
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int | None) -> None:
        share = f"{100 * done // total:3d} %" if total else f"{done / 1e6:.0f} MB"
        if self._is_terminal and share != self._shown:
            self._shown = share
            click.echo(f"\r{self._name}: {share}\x1b[K", err=True, nl=False)

    def close(self) -> None:
        if self._shown:
            click.echo(err=True)


def _load(config: Path | None, options: dict[str, Any] | None = None) -> Loaded[RunnerSettings]:
    return load("runner", RunnerSettings, config=config, overrides=options)


def _token(settings: RunnerSettings) -> str | None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ReadableByOthers)
        token = settings.read_token()
    for warning in heard:
        _say(str(warning.message))
    return token


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:8.0f} MB"


def _say(sentence: str, *, has_lines: bool = False) -> None:
    click.echo(f"projectw-runner: {safe(sentence, keep_newlines=has_lines)}", err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. The edge at which errors become sentences."""
    from projectw_runner.checkpoints import CheckpointError
    from projectw_runner.failures import JobFailure

    try:
        return int(commands.main(arguments, "projectw-runner", standalone_mode=False) or 0)
    except click.ClickException as error:
        usage.show(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except ConfigError as error:
        _say(str(error), has_lines=True)
        return Exit.CONFIGURATION
    except ModuleNotFoundError as error:
        _say(missing_extra(error, "runner", "projectw-runner"))
        return Exit.FAILED
    except (CheckpointError, JobFailure) as error:
        _say(str(error))
        return Exit.FAILED
    except ProjectWError as error:
        _say(_sentence(error))
        # A service manager must not start it again: two runners would take the token from each other for ever.
        return Exit.NOT_ALLOWED if isinstance(error, SessionLost) else exit_code(error)


def _sentence(error: ProjectWError) -> str:
    if isinstance(error, Unauthorized):
        return (
            "the server refuses this runner's token. 'projectw-server runner add NAME' makes a new one; "
            "put it where runner.token_file points."
        )
    if isinstance(error, SessionLost):
        return (
            "another runner has registered with this runner's token and taken over. Each runner needs a token "
            "of its own; 'projectw-server runner add NAME' makes one."
        )
    return error.detail
