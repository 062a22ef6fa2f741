"""Reading a transcript."""

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projectw_tui.cli.context import Context, for_terminal, resolve, run_async, say

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
        if output is None:
            await print_transcript(client, found, file_format)
        else:
            await save_transcript(client, found, file_format, output)
            say(f"Saved {output}.")


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
