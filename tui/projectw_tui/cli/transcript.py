"""Reading a transcript."""

import codecs
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projectw_shared.errors import NotFinished
from projectw_shared.jobs import JobState
from projectw_shared.text import safe, safe_json
from projectw_tui.cli.context import Context, resolve, run_async, say
from projectw_tui.display import state_word

if TYPE_CHECKING:
    from projectw_tui.client import Client

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "md")

LONGEST_WORD = 100_000
"""Characters without a space that are waited for."""


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
    async with client.transcript(job_id, file_format) as pieces:
        await print_pieces(pieces, file_format)


async def print_pieces(pieces: AsyncIterator[bytes], file_format: str) -> None:
    """Write text that comes in pieces to stdout: byte for byte to a pipe or a file, harmless to a terminal."""
    if sys.stdout.isatty():
        await _show(pieces, safe_json if file_format == "json" else partial(safe, keep_newlines=True))
    else:
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()


async def _show(pieces: AsyncIterator[bytes], harmless: Callable[[str], str]) -> None:
    """Write text that comes in pieces, cut only at spaces: what is harmless may depend on the neighbours."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    async for piece in pieces:
        rest += decoder.decode(piece)
        end = rest.rfind(" ") + 1 or (len(rest) if len(rest) > LONGEST_WORD else 0)
        click.echo(harmless(rest[:end]), nl=False)
        rest = rest[end:]
    click.echo(harmless(rest + decoder.decode(b"", final=True)), nl=False)
