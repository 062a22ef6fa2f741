"""What the database does for us, whichever it is: statements with ``$1``-style parameters, and transactions."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

Row = dict[str, Any]


class Duplicate(Exception):
    """A row breaks a rule of uniqueness: somebody else was first."""


class Conflict(Exception):
    """Two transactions stood in each other's way; nothing was written, and it may be done again."""


class Link(Protocol):
    """A connection that statements are sent on."""

    async def rows(self, sql: str, values: list[Any]) -> list[Row]:
        """Run ``sql`` and return its rows."""

    async def many(self, sql: str, values: list[list[Any]]) -> None:
        """Run ``sql`` once for each list of values."""


class Backend(Link, Protocol):
    """One kind of database."""

    is_shared: bool
    """Other servers may work on it at the same time."""

    async def lookup(self, sql: str, values: list[Any]) -> Row | None:
        """Run ``sql``, which finds at most a few rows by an index, and return the first of them as last committed."""

    def transaction(self) -> AbstractAsyncContextManager[Link]:
        """Begin, and commit at the end of the block, or roll back when that raises.

        Entering it must not be cancelled: a transaction runs in a task of its own.
        """

    async def connect(self) -> Any:
        """Open a connection of the driver's own kind that is the caller's alone; only where ``is_shared``."""

    async def checkpoint(self) -> None:
        """Let no deleted text be readable any longer than it must."""

    def close(self) -> None:
        """Close what was opened beside Tortoise's own connections."""
