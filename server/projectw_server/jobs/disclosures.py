"""Reading what is somebody else's: only where the operator allows it, with a reason, and its owner is told."""

import time

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.outbox import Purpose, post
from projectw_server.accounts.principals import Person
from projectw_server.clock import moment
from projectw_server.db import Database, Row, Transaction
from projectw_server.jobs.transcripts import Transcripts
from projectw_shared.accounts import Disclosure, DisclosureList
from projectw_shared.errors import NotFound, NotOpen
from projectw_shared.ids import new_id


class Disclosures:
    """What admins have read of others'."""

    def __init__(self, database: Database, transcripts: Transcripts, *, allowed: bool) -> None:
        self._database = database
        self._transcripts = transcripts
        self._allowed = allowed

    async def disclose(self, admin: Person, job_id: str, reason: str, format: str) -> tuple[str, str]:
        """Return a finished transcript of anybody's in ``format``, and its file name, once its owner was told.

        Raises NotOpen where the operator has not allowed it, NotFound, and NotFinished.
        """
        if not self._allowed:
            raise NotOpen(
                "Admins do not read transcripts here; the operator could allow it (admins_may_read)"
            )
        row = await self._database.row(
            "SELECT j.owner_id, u.email FROM jobs j JOIN users u ON u.id = j.owner_id WHERE j.id = $1", job_id
        )
        if row is None:
            raise NotFound("There is no such job")
        text, name = await self._transcripts.render(row["owner_id"], job_id, format)

        async def work(transaction: Transaction) -> None:
            disclosure_id = new_id()
            await transaction.rows(
                "INSERT INTO disclosures (id, owner_id, job_id, admin_id, reason, at) VALUES ($1, $2, $3, $4, $5, $6)",
                disclosure_id,
                row["owner_id"],
                job_id,
                admin.id,
                reason,
                time.time(),
            )
            await note(transaction, Action.DISCLOSED, job_id, owner=row["owner_id"])
            await post(transaction, Purpose.DISCLOSED, row["email"], disclosure_id)

        # Before a word of it leaves the house: without a note there is no reading.
        await self._database.transaction(work)
        return text, name

    async def of(self, person: Person) -> DisclosureList:
        """Return what admins have read of ``person``'s, the newest first."""
        rows = await self._database.rows(
            "SELECT d.*, j.file_name, u.email AS admin FROM disclosures d LEFT JOIN jobs j ON j.id = d.job_id"
            " LEFT JOIN users u ON u.id = d.admin_id WHERE d.owner_id = $1 ORDER BY d.id DESC",
            person.id,
        )
        return DisclosureList([_shown(row) for row in rows])


def _shown(row: Row) -> Disclosure:
    at = moment(row["at"])
    assert at is not None, "it has its time"
    return Disclosure(row["id"], at, row["job_id"], row["file_name"], row["admin"], row["reason"])
