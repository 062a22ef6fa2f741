"""What an admin sees of everybody's jobs: all but their text."""

from msgspec.structs import replace

from projectw_server.clock import moment
from projectw_server.db import Conditions, Database, Row
from projectw_server.jobs.paging import add_search, cursor_at, position_of
from projectw_server.jobs.records import runner_of, settings_of
from projectw_shared.accounts import AdminJob, AdminJobList, Owner
from projectw_shared.jobs import JobState
from projectw_shared.messages import JobError


class AllJobs:
    """Everybody's jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        *,
        states: list[JobState],
        owner_id: str | None,
        text: str | None,
        limit: int,
        cursor: str | None,
    ) -> AdminJobList:
        """Return jobs, the newest first: those in ``states``, if any, of that owner, and named like ``text``."""
        wanted = Conditions()
        if cursor is not None:
            wanted.add("j.id < {}", position_of(cursor))
        if owner_id is not None:
            wanted.add("j.owner_id = {}", owner_id)
        wanted.add_one_of("j.state", [state.value for state in states])
        if text:
            add_search(wanted, "j.file_name", text)
        rows = await self._database.rows(
            "SELECT j.*, u.email AS owner_email FROM jobs j JOIN users u ON u.id = j.owner_id"  # noqa: S608  conditions and a number of ours
            f" WHERE {wanted} ORDER BY j.id DESC LIMIT {limit + 1}",
            *wanted.values,
        )
        page = rows[:limit]
        return AdminJobList(
            [_shown(row) for row in page], cursor_at(page[-1]["id"]) if len(rows) > limit else None
        )


def _shown(row: Row) -> AdminJob:
    created_at = moment(row["created_at"])
    assert created_at is not None, "a job has a beginning"
    return AdminJob(
        id=row["id"],
        owner=Owner(row["owner_id"], row["owner_email"]),
        file_name=row["file_name"],
        bytes=row["bytes"],
        duration=row["duration"],
        state=JobState(row["state"]),
        cancel_requested=bool(row["cancel_requested"]),
        settings=replace(settings_of(row), initial_prompt=None),
        language=row["language"],
        runner=runner_of(row),
        attempts=row["attempts"],
        error=JobError(row["error_code"], row["error_message"]) if row["error_code"] else None,
        created_at=created_at,
        started_at=moment(row["started_at"]),
        finished_at=moment(row["finished_at"]),
    )
