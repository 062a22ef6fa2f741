"""What a user may use at most: seconds of audio a month, bytes stored, jobs that wait."""

import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from projectw_server.db import Row, Statements, Transaction
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import Quota, Usage
from projectw_shared.errors import QuotaExceeded, TooManyJobs, Unauthorized

SMALLEST_SECONDS = 600.0
SECONDS_A_BYTE = 0.05
"""What a file can hold at most, as runners by default have it, too: silence in the tightest formats."""

_USAGE = """
    SELECT
      (SELECT coalesce(sum(audio_seconds), 0) FROM usage WHERE owner_id = $1 AND month = $2) AS audio_seconds,
      (SELECT coalesce(sum(bytes), 0) FROM jobs WHERE owner_id = $1) AS bytes,
      (SELECT count(*) FROM jobs WHERE owner_id = $1 AND state = 'queued') AS jobs
"""


class Room(NamedTuple):
    """How many bytes may still come in, of a quota of ``limit`` bytes of which ``used`` are taken."""

    left: int
    limit: int
    used: int

    def take(self, size: int) -> None:
        """Raise QuotaExceeded when ``size`` bytes are more than are left."""
        if size > self.left:
            raise _too_many_bytes(self.limit, self.used)


class Quotas:
    """The bounds of everybody (settings) and of single users, and how far each has come."""

    def __init__(self, settings: ServerSettings) -> None:
        self.of_all = Quota(settings.quota_audio_seconds, settings.quota_bytes, settings.quota_jobs)

    def of(self, stored: str | None) -> Quota:
        """Return the quota in force for a user whose own is ``stored`` (JSON)."""
        return self.of_all if stored is None else msgspec.json.decode(stored, type=Quota)

    @staticmethod
    async def usage(statements: Statements, owner_id: str) -> Usage:
        """Return what a user uses now."""
        row = await statements.row(_USAGE, owner_id, month_of(time.time()))
        assert row is not None, "an aggregate gives a row"
        return Usage(float(row["audio_seconds"]), int(row["bytes"]), int(row["jobs"]))

    async def admit(self, statements: Statements, owner_id: str) -> Quota:
        """Return the quota of a user who submits something, and in a transaction keep the account until its end.

        Raises Unauthorized when it is disabled, or gone, by now.
        """
        row = await statements.row("SELECT quota, disabled FROM users WHERE id = $1 FOR SHARE", owner_id)
        if row is None or row["disabled"]:
            raise Unauthorized("This account is disabled, or gone")
        return self.of(row["quota"])

    async def check(self, statements: Statements, owner_id: str, quota: Quota, *, size: int) -> None:
        """See that a user with ``quota`` may submit ``size`` more bytes.

        In a transaction that has taken a change number of the user nothing comes in between. Raises QuotaExceeded
        and TooManyJobs.
        """
        if quota != Quota():
            check_usage(quota, await self.usage(statements, owner_id), size)


def check_usage(quota: Quota, usage: Usage, size: int) -> None:
    """See that ``quota`` leaves room for ``size`` more bytes beside ``usage``. Raises QuotaExceeded and TooManyJobs."""
    if quota.jobs is not None and usage.jobs >= quota.jobs:
        raise TooManyJobs(
            f"{usage.jobs} jobs of yours wait, the most that may; submit more as they are taken",
            limit=quota.jobs,
            used=usage.jobs,
        )
    if quota.bytes is not None and usage.bytes + size > quota.bytes:
        raise _too_many_bytes(quota.bytes, usage.bytes)
    if quota.audio_seconds is not None and usage.audio_seconds >= quota.audio_seconds:
        raise QuotaExceeded(
            f"You have had {usage.audio_seconds / 3600:.1f} of {quota.audio_seconds / 3600:.1f} hours of audio"
            f" transcribed this month; there is more from {_next_month()} on, or ask an admin",
            limit=quota.audio_seconds,
            used=usage.audio_seconds,
        )


def _too_many_bytes(limit: int, used: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"Your recordings take {used} bytes, and with this one more than the {limit} that they may; delete some, or"
        " ask an admin for more",
        limit=limit,
        used=used,
    )


async def charge(transaction: Transaction, row: Row, duration: float | None, now: float) -> None:
    """Count the audio of the job ``row`` when its length becomes known; a later attempt is not counted again.

    The length is a runner's word, which is taken for no more than a file of that size can hold.
    """
    if row["duration"] is not None or not duration:
        return
    await transaction.rows(
        "INSERT INTO usage (owner_id, month, audio_seconds) VALUES ($1, $2, $3)"
        " ON CONFLICT (owner_id, month) DO UPDATE SET audio_seconds = usage.audio_seconds + excluded.audio_seconds",
        row["owner_id"],
        month_of(now),
        min(duration, SMALLEST_SECONDS + row["bytes"] * SECONDS_A_BYTE),
    )


def month_of(at: float) -> str:
    """Return the month (UTC) of a time, as ``2026-11``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def _next_month() -> str:
    today = datetime.now(UTC)
    year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
    return f"{year}-{month:02}-01"
