"""An office: a duty that one of several servers has at a time.

The holder raises a number in the database every second. Others watch that number on their own clocks, and one of
them takes over when it stands still: so a holder that is gone, or was merely stopped, is replaced, and one that
wakes up finds that it has been. Nothing depends on there being only one: what the holder does is guarded by itself.
"""

from projectw_server.clock import Clock
from projectw_server.db import Database, Row
from projectw_shared.ids import new_id

STANDSTILL_SECONDS = 3.0

_VACANT = ""


class Office:
    """The office ``name``, as one server sees it."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self._database = database
        self._name = name
        self._clock = clock
        self._id = new_id()
        self._seen: tuple[str, int] | None = None
        self._since = 0.0

    async def hold(self) -> bool:
        """Tell whether this server holds the office, and go on holding it; called about once a second."""
        if not self._database.is_shared:
            return True
        held = await self._database.row(
            "UPDATE offices SET beat = beat + 1 WHERE name = $1 AND holder = $2 RETURNING beat",
            self._name,
            self._id,
        )
        return held is not None or await self._take_over()

    async def resign(self) -> None:
        """Let another server have it at once: this one stops."""
        if self._database.is_shared:
            await self._database.rows(
                "UPDATE offices SET holder = $3, beat = beat + 1 WHERE name = $1 AND holder = $2",
                self._name,
                self._id,
                _VACANT,
            )

    async def _take_over(self) -> bool:
        row = await self._database.row("SELECT holder, beat FROM offices WHERE name = $1", self._name)
        if row is None:
            made = await self._database.row(
                "INSERT INTO offices (name, holder, beat) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING"
                " RETURNING name",
                self._name,
                self._id,
            )
            return made is not None
        if row["holder"] != _VACANT and not self._stands_still(row):
            return False
        taken = await self._database.row(
            "UPDATE offices SET holder = $1, beat = beat + 1 WHERE name = $2 AND holder = $3 AND beat = $4"
            " RETURNING beat",
            self._id,
            self._name,
            row["holder"],
            row["beat"],
        )
        return taken is not None

    def _stands_still(self, row: Row) -> bool:
        seen, now = (row["holder"], row["beat"]), self._clock.now()
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since > STANDSTILL_SECONDS
