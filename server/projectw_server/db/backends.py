"""What the database does for us, whichever it is: statements with ``$1``-style parameters, and transactions."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

Row = dict[str, Any]
T = TypeVar("T")


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

    connect: Callable[[], Awaitable[Any]] | None
    """Opens a connection of the driver's own kind that is the caller's alone; None where no other server may work."""

    async def lookup(self, sql: str, values: list[Any]) -> Row | None:
        """Run ``sql``, which finds at most a few rows by an index, and return the first of them as last committed."""

    async def transact(self, work: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        """Begin, run ``work``, and commit, or roll back when it raises.

        Must not be cancelled: a transaction runs in a task of its own. ``work`` awaits nothing but its statements, and
        may be run on another thread.
        """

    async def checkpoint(self) -> None:
        """Let no deleted text be readable any longer than it must."""

    def close(self) -> None:
        """Close what was opened beside Tortoise's own connections."""


def marks(count: int, *, first: int = 1) -> str:
    """Return ``$1, $2, …``: marks for ``count`` parameters, beginning with number ``first``."""
    return ", ".join(f"${n}" for n in range(first, first + count))
