"""Fills a server's database with evil names; the first argument is the configuration file."""

import asyncio
import sys
from pathlib import Path

from projectw_server import home
from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.db import open_database
from projectw_server.settings import ServerSettings
from projectw_shared.config import load
from tests.hostile.strings import EVIL


async def fill(settings: ServerSettings) -> None:
    """Make a runner of each name, by the way that refuses none, and a user, past the way that would."""
    async with open_database(settings.database) as database:
        for number, text in enumerate(EVIL.values()):
            plain = text.replace("\0", "")[:200]
            runner = await RunnerTokens(database).create(f"{plain.strip() or 'x'}")
            await database.rows("UPDATE runners SET version = $1 WHERE id = $2", plain, runner.id)
            await database.rows(
                "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
                " VALUES ($1, $2, 'x', FALSE, FALSE, 0)",
                f"00000000-0000-7000-8000-{number:012}",
                f"{number}{plain}",
            )


settings = load("server", ServerSettings, config=Path(sys.argv[1])).settings
home.prepare(settings.home)
asyncio.run(fill(settings))
