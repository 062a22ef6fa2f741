"""Sending recordings, and waiting for their text."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from projectw_shared.errors import Forbidden, ProjectWError, Unauthorized, Unavailable, Unreachable
from projectw_shared.exits import Exit
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import Job
from projectw_shared.text import safe
from projectw_tui.cli.context import Context, describe, put, put_json, run_async, say
from projectw_tui.cli.meter import Meter
from projectw_tui.cli.transcript import FORMATS, print_transcript
from projectw_tui.cli.wishes import given_of, merged, own_defaults, settings_options
from projectw_tui.display import clock, state_word

if TYPE_CHECKING:
    from projectw_tui.client import Client
    from projectw_tui.live import Disconnected

HOPELESS = (Unauthorized, Forbidden, Unreachable, Unavailable)
"""What would befall the next file too."""


@dataclass(frozen=True)
class Wish:
    """What is to be sent, how, and what is to be done with the text."""

    files: list[Path]
    given: dict[str, Any]
    wait: bool
    file_format: str
    output_dir: Path | None
    as_json: bool


@dataclass
class Outcome:
    """What has come of it so far."""

    jobs: dict[Path, Job] = field(default_factory=dict)
    failed: bool = False


@click.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Wait for the text and print it.")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="txt", show_default=True)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --wait: write each text to a file in this folder.",
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line: each job as it stands.")
@click.pass_obj
def submit(context: Context, /, files: tuple[Path, ...], **options: Any) -> None:
    """Send recordings. Prints the id of each job; with --wait the text of each, in the order of the files."""
    run_async(_submit(context, _wish(files, **options)))


def _wish(
    files: tuple[Path, ...],
    *,
    wait: bool,
    file_format: str,
    output_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> Wish:
    for path in files:
        if not path.is_file():
            name = safe(str(path))
            raise click.UsageError(f"{name} is no file" if path.exists() else f"{name} does not exist")
    if len(set(files)) < len(files):
        raise click.UsageError("a file is named twice; name each once")
    if output_dir is not None:
        _check_targets(files, wait=wait)
    return Wish(list(files), given_of(options), wait, file_format, output_dir, as_json)


def _check_targets(files: tuple[Path, ...], *, wait: bool) -> None:
    if not wait:
        raise click.UsageError("--output-dir needs --wait: without it there is no text to write yet")
    first: dict[str, Path] = {}
    for path in files:
        other = first.setdefault(path.stem, path)
        if other is not path:
            names = safe(f"{other} and {path}")
            raise click.UsageError(f"the texts of {names} would have the same name in --output-dir")


async def _submit(context: Context, wish: Wish) -> int:
    outcome = Outcome()
    meter = Meter()
    if wish.output_dir is not None:
        # Before anything is sent: a text that cannot be written down would come too late.
        await asyncio.to_thread(wish.output_dir.mkdir, parents=True, exist_ok=True)
    async with context.client() as client:
        settings = merged(await own_defaults(client), wish.given)
        try:
            for path in wish.files:
                await _send(client, wish, path, settings, outcome, meter)
            if wish.wait and outcome.jobs:
                await _await_ends(client, wish, outcome, meter)
        except asyncio.CancelledError:
            meter.clear()
            _say_what_goes_on(outcome)
            raise
        finally:
            meter.clear()
    return Exit.FAILED if outcome.failed else Exit.DONE


async def _send(
    client: "Client", wish: Wish, path: Path, settings: JobSettings, outcome: Outcome, meter: Meter
) -> None:
    try:
        job = await client.upload(
            path,
            settings,
            progress=lambda sent, total: meter.show(path.name, sent / max(total, 1), "sending"),
        )
    except asyncio.CancelledError:
        meter.clear()
        say(f"The upload of {path} was broken off; nothing of it is kept.")
        raise
    except (ProjectWError, OSError) as error:
        meter.clear()
        if isinstance(error, HOPELESS):
            _say_what_goes_on(outcome)
            raise
        say(f"projectw: {path}: {describe(error)}")
        outcome.failed = True
        return
    meter.clear()
    outcome.jobs[path] = job
    if not wish.wait:
        _put_job(job, as_json=wish.as_json)


def _put_job(job: Job, *, as_json: bool) -> None:
    if as_json:
        put_json(msgspec.json.encode(job))
    else:
        put(job.id)


def _say_what_goes_on(outcome: Outcome) -> None:
    for path, job in outcome.jobs.items():
        if not job.state.is_over:
            say(f"{path.name} goes on at the server; read it later with: projectw transcript {job.id}")


async def _await_ends(client: "Client", wish: Wish, outcome: Outcome, meter: Meter) -> None:
    from projectw_tui.cli.waiting import Ends

    paths = {job.id: path for path, job in outcome.jobs.items()}

    def told(job: Job) -> None:
        outcome.jobs[paths[job.id]] = job
        note = f"{clock(job.eta)} left" if job.eta is not None else state_word(job)
        meter.show(job.file_name, job.progress, note)

    def broken(line: "Disconnected") -> None:
        meter.clear()
        say(f"The connection was lost ({line.reason}); trying again.")

    ends = Ends(client, paths, told=told, broken=broken)
    watching = asyncio.ensure_future(ends.watch())
    try:
        for job_id, path in paths.items():
            end = asyncio.ensure_future(ends.of(job_id))
            # Watching fails when the session ends: then no end will be told of.
            await asyncio.wait([end, watching], return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                end.cancel()
                watching.result()
            job = await end
            meter.clear()
            await _hand_out(client, wish, path, job, outcome)
    finally:
        watching.cancel()


async def _hand_out(client: "Client", wish: Wish, path: Path, job: Job | None, outcome: Outcome) -> None:
    if job is None or job.state is not JobState.SUCCEEDED:
        outcome.failed = True
        say(f"projectw: {path}: {_reason(job)}")
        if job is not None and wish.as_json:
            _put_job(job, as_json=True)
        return
    if wish.output_dir is not None:
        from projectw_tui.client import save_transcript

        target = wish.output_dir / f"{path.stem}.{wish.file_format}"
        await save_transcript(client, job.id, wish.file_format, target)
        say(f"Saved {target}.")
    if wish.as_json:
        _put_job(job, as_json=True)
    elif wish.output_dir is None:
        await print_transcript(client, job.id, wish.file_format)


def _reason(job: Job | None) -> str:
    if job is None:
        return "the job was deleted"
    if job.error is not None:
        return f"{job.error.message} ({job.error.code})"
    return f"the job was {state_word(job)}"
