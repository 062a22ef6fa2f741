"""What every command begins with: settings, a client, and an end that says what went wrong."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from projectw_shared.errors import NotConfirmed, ProjectWError
from projectw_shared.exits import Exit
from projectw_tui.settings import TuiSettings

if TYPE_CHECKING:
    from projectw_shared.config import Loaded
    from projectw_tui.client import Client

LONGEST_SENTENCE = 1000
"""Characters of an error that are told."""


class WrongConfiguration(click.ClickException):
    """The configuration cannot be used; its message names every mistake."""

    exit_code = Exit.CONFIGURATION

    def show(self, file: IO[Any] | None = None) -> None:
        """Say what is wrong."""
        say(f"projectw: {self.message}", has_lines=True)


@dataclass
class Context:
    """What the options before the command say."""

    config: Path | None
    server: str | None
    log_file: Path | None = None

    @cached_property
    def loaded(self) -> "Loaded[TuiSettings]":
        """The settings and their file. Raises WrongConfiguration."""
        # Imported here: it brings YAML and JSON Schema, which --help does not need.
        from projectw_shared.config import ConfigError, load

        server = self.server or os.environ.get("PROJECTW_SERVER") or None
        try:
            return load(
                "tui",
                TuiSettings,
                config=self.config,
                overrides={"server_url": server, "log_file": self.log_file},
            )
        except ConfigError as error:
            raise WrongConfiguration(str(error)) from error

    @property
    def settings(self) -> TuiSettings:
        """The settings. Raises WrongConfiguration."""
        return self.loaded.settings

    @property
    def token(self) -> str | None:
        """A token to use as it is, instead of a session."""
        return os.environ.get("PROJECTW_TOKEN") or None

    @asynccontextmanager
    async def client(self, *, signed_in: bool = True) -> "AsyncIterator[Client]":
        """Open a client; with ``signed_in`` it is an error to have neither session nor token.

        Without, it is about the session itself, and a given token is left aside.
        """
        from projectw_shared.errors import Unauthorized
        from projectw_tui.client import Client

        async with Client(self.settings, token=self.token if signed_in else None) as client:
            if signed_in and not await client.is_signed_in():
                chosen = f" --server {self.server}" if self.server else ""
                raise Unauthorized(f"Not signed in to {client.server_url}; run: projectw{chosen} login EMAIL")
            yield client


def run_async(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a command's work and leave with its code."""
    sys.exit(asyncio.run(work) or Exit.DONE)


def say(text: str, *, has_lines: bool = False) -> None:
    """Tell the person something, on stderr: one line, unless it ``has_lines`` of its own."""
    from projectw_shared.text import safe

    click.echo(safe(text, keep_newlines=has_lines), err=True)


def put(*lines: str) -> None:
    """Give lines of data, on stdout.

    They are harmless also where stdout is no terminal: what goes through ``less``, ``grep`` or a file ends on one.
    """
    from projectw_shared.text import safe

    for line in lines:
        click.echo(safe(line))


def put_json(document: bytes) -> None:
    """Give a JSON document, on stdout: byte for byte, and on a terminal with escapes for what would act there."""
    from projectw_shared.text import safe_json

    text = document.decode()
    click.echo(safe_json(text) if sys.stdout.isatty() else text)


async def resolve(client: "Client", text: str) -> str:
    """Return the id that ``text`` is, or is the end or the beginning of. Raises NotFound, UsageError.

    Ids begin with the time, so those of one day look alike in front; their ends differ.
    """
    from projectw_shared.ids import is_id
    from projectw_tui.cli.choosing import the_one

    wanted = text.strip().lower()
    if is_id(wanted):
        return wanted
    if not wanted.replace("-", "").isalnum():
        raise click.UsageError(f"{text!r} is no job id")
    ids: list[str] = []
    cursor = None
    while True:
        page = await client.jobs(limit=200, cursor=cursor)
        ids += [job.id for job in page.jobs]
        cursor = page.next_cursor
        if cursor is None:
            return the_one(text, ids, "job")


def describe(error: BaseException) -> str:
    """Return the sentence for a person, of which a hostile server makes no more than a screenful."""
    from projectw_shared.text import shorten

    if isinstance(error, NotConfirmed):
        detail = shorten(error.detail, LONGEST_SENTENCE)
        return f"{detail}; run: projectw activate CODE (another mail: projectw activate --resend)"
    if isinstance(error, ProjectWError):
        return shorten(error.detail, LONGEST_SENTENCE)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
