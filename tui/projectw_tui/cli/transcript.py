"""Reading a transcript."""

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projectw_shared.errors import NotFinished
from projectw_shared.jobs import JobState
from projectw_tui.cli.context import Context, for_terminal, resolve, run_async, say
from projectw_tui.display import state_word

if TYPE_CHECKING:
    from projectw_tui.client import Client

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "md")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="txt", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.pass_obj
def transcript(context: Context, job_id: str, file_format: str, output: Path | None) -> None:
    """Print the transcript of a job that is done. Of an ID its end is enough."""
    run_async(_transcript(context, job_id, file_format, output))


async def _transcript(context: Context, job_id: str, file_format: str, output: Path | None) -> None:
    from projectw_tui.client import save_transcript

    async with context.client() as client:
        found = await resolve(client, job_id)
        try:
            if output is None:
                await print_transcript(client, found, file_format)
            else:
                await save_transcript(client, found, file_format, output)
                say(f"Saved {output}.")
        except NotFinished as error:
            # The server's sentence names the route for programs; a person has the full screen.
            job = await client.job(found)
            remedy = (
                f"try it again with: projectw retry {found[-12:]}"
                if job.state in (JobState.FAILED, JobState.CANCELLED)
                else "wait for its end, or open 'projectw' to read the text as it grows"
            )
            raise NotFinished(
                f"The transcript is not finished, the job is {state_word(job)}; {remedy}"
            ) from error


async def print_transcript(client: "Client", job_id: str, file_format: str) -> None:
    """Write the transcript to stdout: byte for byte to a pipe or a file, harmless to a terminal."""
    terminal = sys.stdout.isatty()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    async with client.transcript(job_id, file_format) as pieces:
        async for piece in pieces:
            if terminal:
                click.echo(for_terminal(decoder.decode(piece), terminal), nl=False)
            else:
                sys.stdout.buffer.write(piece)
    sys.stdout.flush()
