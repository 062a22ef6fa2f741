"""Bringing the tables up to date: one server at a time, the others wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tortoise import Tortoise
from tortoise.migrations.api import migrate

LOCK = 0x70726F6A77
"""The advisory lock under which a PostgreSQL database is migrated."""


async def bring_up_to_date(url: str, config: dict[str, Any]) -> None:
    """Run the migrations that the database has not seen, and close it again."""
    async with _alone(url, config):
        try:
            await migrate(config=config)
        finally:
            # Its connection may have a thread of its own, which would keep a failed program alive.
            await Tortoise.close_connections()


@asynccontextmanager
async def _alone(url: str, config: dict[str, Any]) -> AsyncIterator[None]:
    if url.startswith("sqlite:"):
        yield  # it is locked as a whole
        return
    import asyncpg  # of an extra: SQLite does without it

    given = config["connections"]["default"]["credentials"]
    connection = await asyncpg.connect(
        **{
            name: given[name]
            for name in ("host", "port", "user", "password", "database", "ssl")
            if name in given
        }
    )
    try:
        # Released with the connection, however that ends.
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        yield
    finally:
        await connection.close()
