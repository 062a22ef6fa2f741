"""What would become of a recording that is submitted now, said before it is uploaded."""

from projectw_server.accounts.principals import Person
from projectw_server.db import Database
from projectw_server.dispatch.roster import PLAYED_JOBS, Roster
from projectw_server.jobs.forecast import Turn, Waiting, audio_seconds, play
from projectw_server.jobs.needs import need_of
from projectw_server.jobs.order import BEFORE, QUEUED, find_place
from projectw_server.jobs.outlook import Outlook
from projectw_shared.messages import Estimate, EstimateWish

NEW = "new"

LAST = "g"
"""Comes after every id, which are hexadecimal: a new job stands behind those of the same tag."""


class Estimating:
    """Plays the queue through as if the recording had been submitted."""

    def __init__(self, database: Database, roster: Roster, outlook: Outlook) -> None:
        self._database = database
        self._roster = roster
        self._outlook = outlook

    async def estimate(self, person: Person, wish: EstimateWish) -> Estimate:
        """Return what would become of ``wish``; nothing of it is kept."""
        settings, size = wish.settings, wish.bytes or 0
        place = await find_place(
            self._database,
            owner_id=person.id,
            priority=settings.priority,
            size=size,
            duration=wish.duration,
        )
        before = await self._database.row(QUEUED + BEFORE.format(1, 2, 3), place.rank, place.start_tag, LAST)
        assert before is not None, "counting gives a row"
        new = Waiting(NEW, need_of(settings), audio_seconds(wish.duration, size), settings.language)
        turn = await self._turn(new, before["jobs"])
        return Estimate(
            position=before["jobs"] + 1,
            begins_in=_rounded(turn.begins_in),
            eta=_rounded(turn.ends_in),
            runners=sum(new.need in runner.offers for runner in self._outlook.ready()),
            waiting=self._outlook.obstacle(new.need),
        )

    async def _turn(self, new: Waiting, before: int) -> Turn:
        if before > PLAYED_JOBS:
            return Turn(None, None)
        queue = await self._roster.waiting() if before else []
        speeds = await self._roster.speeds()
        return play(await self._roster.workers(), [*queue[:before], new], speeds)[NEW]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
