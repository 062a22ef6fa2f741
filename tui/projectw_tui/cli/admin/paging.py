"""Reading lists that come in pages."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAGE = 200

Page = tuple[list[T], str | None]
"""What a page holds, and where the next one begins."""


async def at_most(limit: int | None, read: Callable[[int, str | None], Awaitable[Page[T]]]) -> list[T]:
    """Return the first ``limit`` items, or all; ``read`` gets how many are wanted, and where to begin."""
    found: list[T] = []
    cursor: str | None = None
    while limit is None or len(found) < limit:
        items, cursor = await read(PAGE if limit is None else min(PAGE, limit - len(found)), cursor)
        found += items
        if cursor is None:
            break
    return found
