"""What is stored: the rows of the database and the files of the recordings, read without the program's help."""

import asyncio
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import Segment

Row = dict[str, Any]

BUSY_SECONDS = 30.0


class StoredJob(msgspec.Struct, frozen=True):
    """The columns of a job that the invariants speak of."""

    id: str
    owner_id: str
    idempotency_key: str | None
    bytes: int
    settings: str
    state: str
    cancel_requested: bool
    attempts: int
    lease: int
    lease_expires_at: float | None
    runner_id: str | None
    segment_count: int
    duration: float | None
    error_code: str | None

    @property
    def wish(self) -> JobSettings:
        """The settings that it was submitted with."""
        return msgspec.json.decode(self.settings, type=JobSettings)


@dataclass(frozen=True)
class Snapshot:
    """Everything that is stored of jobs: their rows, segments by number, results by lease, sizes of recordings."""

    jobs: dict[str, StoredJob] = field(default_factory=dict)
    segments: dict[str, list[tuple[int, Segment]]] = field(default_factory=dict)
    deliveries: list[tuple[str, int]] = field(default_factory=list)
    recordings: dict[str, int] | None = None
    """Bytes of each file by its id; None when it was not looked."""
    unfinished: int = 0
    """Files that are still being received, or were left."""


def take(database_url: str, recordings: Path | None) -> Snapshot:
    """Read the database at ``database_url``, and the folder of the recordings if one is given."""
    rows = [msgspec.convert(row, StoredJob, strict=False) for row in query(database_url, JOBS)]
    return assembled(rows, query(database_url, SEGMENTS), query(database_url, DELIVERIES), recordings)


def assembled(
    jobs: list[StoredJob], segments: list[Row], deliveries: list[Row], recordings: Path | None = None
) -> Snapshot:
    """Put rows together."""
    transcripts: dict[str, list[tuple[int, Segment]]] = defaultdict(list)
    for row in segments:
        transcripts[row["job_id"]].append((row["number"], msgspec.json.decode(row["body"], type=Segment)))
    files = None
    unfinished = 0
    if recordings is not None:
        files = {path.name: path.stat().st_size for path in recordings.glob("blobs/*/*")}
        unfinished = sum(1 for _ in recordings.glob("incoming/*"))
    return Snapshot(
        {job.id: job for job in jobs},
        dict(transcripts),
        [(row["job_id"], row["lease"]) for row in deliveries],
        files,
        unfinished,
    )


JOBS = f"SELECT {', '.join(StoredJob.__struct_fields__)} FROM jobs"
SEGMENTS = "SELECT job_id, number, body FROM segments ORDER BY job_id, number"
DELIVERIES = "SELECT job_id, lease FROM deliveries"


def query(database_url: str, sql: str) -> list[Row]:
    """Run one reading statement on a connection of its own; blocks."""
    if database_url.startswith("sqlite:"):
        return _from_sqlite(database_url, sql)
    return asyncio.run(_from_postgres(database_url, sql))


def _from_sqlite(url: str, sql: str) -> list[Row]:
    path = url.removeprefix("sqlite://").partition("?")[0]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


async def connected(url: str) -> Any:
    """Return a connection to PostgreSQL, asyncpg's, which is to be closed."""
    driver: Any = import_module("asyncpg")
    return await driver.connect(re.sub(r"^(asyncpg|postgres):", "postgresql:", url))


async def _from_postgres(url: str, sql: str) -> list[Row]:
    connection = await connected(url)
    try:
        return [dict(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()
