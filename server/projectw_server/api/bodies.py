"""How many large bodies one caller may have under way: each is kept in memory until it is whole."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from projectw_shared.errors import Busy

MOST = 4
"""Of one caller. A runner sends one after the other; more are of connections that broke, or of a stolen token."""


class LargeBodies:
    """Counts the bodies that are larger than an ordinary one, by caller."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one_of(self, caller_id: str) -> Iterator[None]:
        """Count one until the end of the block. Raises Busy when there are too many already."""
        if self._under_way[caller_id] >= MOST:
            raise Busy("As many large requests of yours as may are under way; wait for their answers")
        self._under_way[caller_id] += 1
        try:
            yield
        finally:
            self._under_way[caller_id] -= 1
            if not self._under_way[caller_id]:
                del self._under_way[caller_id]
