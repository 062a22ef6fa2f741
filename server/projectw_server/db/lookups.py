"""Short questions to SQLite, asked on the spot.

Through the one connection a question waits for every transaction before it, and takes two changes of thread, which
cost many times what reading a row by its key does. A second connection that only reads sees, in WAL mode, what was
committed last, and waits for nobody.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any


class Lookups:
    """A connection to a SQLite file that reads single rows on the caller's own thread, the event loop's."""

    def __init__(self, file: str) -> None:
        # One thread at a time uses it, which need not be the one that opened it. It never waits for a lock.
        self._connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA query_only=ON")

    def row(self, sql: str, values: Sequence[Any]) -> dict[str, Any] | None:
        """Return the first row that ``sql`` finds, or None. Raises sqlite3.OperationalError, also when it is busy."""
        cursor = self._connection.execute(sql, values)
        found = cursor.fetchone()
        # Else the read would stay open, and keep the write-ahead log from being emptied.
        cursor.close()
        return None if found is None else dict(found)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
