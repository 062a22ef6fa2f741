"""Looking at jobs and moving them."""

import sys
from typing import Final

import click

from projectw_shared.jobs import JobState
from projectw_shared.messages import Job
from projectw_shared.text import fit, safe, shorten
from projectw_tui.cli.context import Context, put, put_json, resolve, run_async, say
from projectw_tui.cli.passwords import interruptible
from projectw_tui.cli.tables import json_of, terminal_width
from projectw_tui.display import age, clock, language_name, percent, size, state_word, waiting

WHOLE_ID_COLUMNS: Final = 80
"""What a line of the list takes before the file's name, with a whole id."""
MIN_NAME_COLUMNS: Final = 20
LONGEST_FACT: Final = 2000
"""Characters of a value that ``show`` shows: an error's message as a whole, and no name without an end."""
END_OF_ID: Final = 12
"""The digits after the last hyphen, which are random."""


@click.command()
@click.option(
    "--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state."
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_obj
def jobs(context: Context, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    run_async(_jobs(context, JobState(state) if state else None, limit, as_json))


async def _jobs(context: Context, state: JobState | None, limit: int, as_json: bool) -> None:
    found: list[Job] = []
    cursor = None
    async with context.client() as client:
        while len(found) < limit:
            page = await client.jobs(state=state, limit=min(limit - len(found), 200), cursor=cursor)
            found += page.jobs
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        put_json(json_of(found))
    elif found:
        put(*_table(found, terminal_width()))
    else:
        say("There are no jobs." if state is None else f"There are no {state} jobs.")


def _table(found: list[Job], width: int | None) -> list[str]:
    """Return a line for each job. Where ``width`` is scarce, of an id its end is shown, which is enough."""
    whole = width is None or width >= WHOLE_ID_COLUMNS + MIN_NAME_COLUMNS
    digits = 36 if whole else END_OF_ID
    name = 60 if width is None else max(width - WHOLE_ID_COLUMNS + 36 - digits, MIN_NAME_COLUMNS)
    lines = [f"{'ID':{digits}}  {'STATE':10}  {'DONE':>4}  {'LEFT':>7}  {'LENGTH':>7}  {'AGE':>4}  FILE"]
    for job in found:
        done = percent(job.progress) if job.progress else ""
        lines.append(
            f"{fit(safe(job.id[-digits:]), digits)}  {state_word(job):10}  {done:>4}  {fit(waiting(job), 7):>7}  "
            f"{clock(job.duration):>7}  {age(job.created_at):>4}  {fit(safe(job.file_name), name)}"
        )
    return lines


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def show(context: Context, job_id: str, as_json: bool) -> None:
    """Show one job. Of an ID its end is enough."""
    run_async(_show(context, job_id, as_json))


async def _show(context: Context, job_id: str, as_json: bool) -> None:
    async with context.client() as client:
        job = await client.job(await resolve(client, job_id))
    if as_json:
        put_json(json_of(job))
    else:
        put(*_facts(job))


def _facts(job: Job) -> list[str]:
    facts = {
        "id": job.id,
        "file": job.file_name,
        "size": size(job.bytes),
        "length": clock(job.duration),
        "state": state_word(job),
        "progress": percent(job.progress) if job.state.is_held else "",
        "place in the queue": str(job.position or ""),
        "waits": job.waiting.message if job.waiting else "",
        "time left": clock(job.eta),
        "model": job.settings.model or "",
        "language": language_name(job.language or job.settings.language),
        "task": job.settings.task,
        "runner": job.runner.name if job.runner else "",
        "attempts": str(job.attempts),
        "error": f"{job.error.message} ({job.error.code})" if job.error else "",
        "created": job.created_at.isoformat(timespec="seconds"),
        "finished": job.finished_at.isoformat(timespec="seconds") if job.finished_at else "",
    }
    return [f"{name + ':':<20}{shorten(safe(value), LONGEST_FACT)}" for name, value in facts.items() if value]


@click.command()
@click.argument("job_id", metavar="ID")
@click.pass_obj
def cancel(context: Context, job_id: str) -> None:
    """Cancel a job."""
    run_async(_cancel(context, job_id))


async def _cancel(context: Context, job_id: str) -> None:
    async with context.client() as client:
        job = await client.cancel(await resolve(client, job_id))
    say(f"{job.id} is {state_word(job)}.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.pass_obj
def retry(context: Context, job_id: str) -> None:
    """Queue a failed or cancelled job again."""
    run_async(_retry(context, job_id))


async def _retry(context: Context, job_id: str) -> None:
    async with context.client() as client:
        job = await client.retry(await resolve(client, job_id))
    say(f"{job.id} is {state_word(job)}.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(context: Context, job_id: str, yes: bool) -> None:
    """Delete a job with its recording and its transcript."""
    run_async(_delete(context, job_id, yes))


async def _delete(context: Context, job_id: str, yes: bool) -> None:
    async with context.client() as client:
        job = await client.job(await resolve(client, job_id))
        if not yes:
            _confirm(job)
        await client.delete(job.id)
    say(f"{job.id} is deleted.")


def _confirm(job: Job) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("deleting asks first, and there is no terminal to ask: add --yes")
    question = f"Delete {fit(safe(job.file_name), 60)} with its recording and its transcript?"
    with interruptible():
        click.confirm(question, abort=True, err=True)
