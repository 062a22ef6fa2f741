"""Transcripts: segments are only ever appended, each once, in order, under the lease of the job."""

import msgspec

from projectw_server.db import Database, Row, Statements, Transaction
from projectw_shared.errors import Gap, NotFinished, NotFound
from projectw_shared.formats import render
from projectw_shared.jobs import JobState
from projectw_shared.messages import SegmentList
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment


def new_of(job: Row, first: int, segments: list[Segment]) -> list[Segment]:
    """Return those of ``segments``, the first of which is number ``first``, that are not stored yet.

    Raises Gap when some are missing in between.
    """
    stored = job["segment_count"]
    if first > stored:
        raise Gap(f"Segments from {stored} on are missing", next=stored)
    return segments[stored - first :]


async def append(transaction: Transaction, job_id: str, segments: list[Segment], revision: int) -> None:
    """Append ``segments``, which are new, under the change number ``revision``."""
    await transaction.many(
        "INSERT INTO segments (job_id, number, revision, body) VALUES ($1, $2, $3, $4)",
        [[job_id, segment.id, revision, msgspec.json.encode(segment).decode()] for segment in segments],
    )


async def last_segments(statements: Statements, job: Row) -> list[Segment]:
    """Return the last few segments of a job, for the prompt of whoever goes on with it."""
    if not job["segment_count"]:
        return []
    rows = await statements.rows(
        "SELECT body FROM segments WHERE job_id = $1 AND number >= $2 ORDER BY number",
        job["id"],
        job["segment_count"] - PROMPT_SEGMENTS,
    )
    return [msgspec.json.decode(row["body"], type=Segment) for row in rows]


class Transcripts:
    """Reads what the owner of a job may read of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, owner_id: str, job_id: str, since: int) -> SegmentList:
        """Return the segments from number ``since`` to the end of what there is, also while the job runs."""
        job = await self._job(owner_id, job_id)
        segments = await self._read(job_id, since)
        return SegmentList(
            segments,
            next=segments[-1].id + 1 if segments else min(since, job["segment_count"]),
            complete=job["state"] == JobState.SUCCEEDED,
        )

    async def render(self, owner_id: str, job_id: str, format: str) -> tuple[str, str]:
        """Return the finished transcript in ``format``, and the recording's file name."""
        job = await self._job(owner_id, job_id)
        if job["state"] != JobState.SUCCEEDED:
            raise NotFinished(
                f"The job is {job['state']}; what there is of its text can be read at /api/jobs/{job_id}/segments"
            )
        segments = await self._read(job_id, 0)
        pieces = render(segments, format, language=job["language"], title=job["file_name"])
        return "".join(pieces), job["file_name"]

    async def _job(self, owner_id: str, job_id: str) -> Row:
        row = await self._database.row(
            "SELECT id, file_name, state, language, segment_count FROM jobs WHERE id = $1 AND owner_id = $2",
            job_id,
            owner_id,
        )
        if row is None:
            raise NotFound("There is no such job")
        return row

    async def _read(self, job_id: str, since: int) -> list[Segment]:
        rows = await self._database.rows(
            "SELECT body FROM segments WHERE job_id = $1 AND number >= $2 ORDER BY number", job_id, since
        )
        array = "[" + ",".join(row["body"] for row in rows) + "]"
        return msgspec.json.decode(array, type=list[Segment])
