"""The fleet: runners, their registrations, and what an admin does with them."""

from functools import lru_cache
from typing import Any

import msgspec
import structlog

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.principals import RunnerIdentity
from projectw_server.clock import Clock, moment
from projectw_server.db import Database, Row, Transaction
from projectw_server.dispatch.presence import Presence
from projectw_server.events.signals import RunnerNews, Signals
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.leases import Leases
from projectw_server.jobs.lifecycle import Event
from projectw_server.jobs.needs import offers_of
from projectw_shared.errors import NotFound, SessionLost, Unauthorized
from projectw_shared.ids import new_id
from projectw_shared.messages import Registered, Registration, Result, RunnerInfo, RunnerList
from projectw_shared.text import safe

TAKEN_OVER = (
    "Another registration with this runner's token has taken over; give each runner a token of its own"
)

NOT_ITS_FAULT = frozenset(
    (
        "audio-corrupt",
        "audio-missing",
        "no-audio",
        "unsupported-media",
        "media-limits",
        "too-long",
        "cancelled",
    )
)
"""Codes of errors for which another runner would do no better."""

_log = structlog.get_logger(__name__)


class Fleet:
    """The runners of this installation."""

    def __init__(
        self,
        database: Database,
        leases: Leases,
        presence: Presence,
        signals: Signals,
        clock: Clock,
        *,
        heartbeat_seconds: float,
        lease_seconds: float,
        max_failures_in_row: int,
    ) -> None:
        self._max_failures_in_row = max_failures_in_row
        self._database = database
        self._leases = leases
        self._presence = presence
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._lease_seconds = lease_seconds
        self._signals = signals

    async def register(self, runner: RunnerIdentity, registration: Registration) -> Registered:
        """Begin a session; an earlier one of the same token loses it, and its job is queued again."""
        session = new_id()

        async def work(transaction: Transaction) -> None:
            await transaction.rows(
                "UPDATE runners SET session = $2, label = $3, version = $4, engine = $5, device = $6, models = $7,"
                " draining = FALSE, failures_in_row = 0, last_seen_at = $8 WHERE id = $1",
                runner.id,
                session,
                registration.name,
                registration.version,
                registration.engine,
                registration.device,
                msgspec.json.encode(registration.models).decode(),
                self._clock.now(),
            )
            await self._leases.let_go(transaction, runner.id, Event.LEASE_EXPIRED)
            self._tell(transaction, runner.id)

        await self._database.transaction(work)
        self._presence.note(runner.id, session, self._clock.now())
        return Registered(runner.id, session, self._heartbeat_seconds, self._lease_seconds)

    async def holder(self, runner: RunnerIdentity, session: str) -> tuple[Holder, Row]:
        """Return the runner in its valid session, with its row; raises SessionLost for any other session."""
        row = await self._database.lookup("SELECT * FROM runners WHERE id = $1", runner.id)
        if row is None:
            raise Unauthorized("This runner's token was revoked")
        if row["session"] is None or row["session"] != session:
            raise SessionLost(TAKEN_OVER)
        self._presence.note(runner.id, session, self._clock.now())
        return Holder(
            runner.id, session, row["label"] or row["name"], row["version"] or "unknown", _offers(row)
        ), row

    async def write_presence(self) -> None:
        """Write who has called since the last time, for other servers and for after a restart."""
        seen = self._presence.take_unwritten()
        if not seen:
            return
        await self._database.many(
            "UPDATE runners SET last_seen_at = $2 WHERE id = $1 AND (last_seen_at IS NULL OR last_seen_at < $2)",
            [[runner_id, at] for runner_id, at in sorted(seen.items())],
        )

    async def judge(self, runner: RunnerIdentity, job: Row, result: Result) -> None:
        """Count what failed at a runner in a row, and cordon one that fails at everything.

        What lies in the recording is not the runner's fault, and one job that is tried there again counts once.
        """
        if result.error is None:
            if runner.failures_in_row:
                await self._database.rows("UPDATE runners SET failures_in_row = 0 WHERE id = $1", runner.id)
            return
        if result.error.code in NOT_ITS_FAULT or job["failed_runner_id"] == runner.id:
            return
        row = await self._database.row(
            "UPDATE runners SET failures_in_row = failures_in_row + 1 WHERE id = $1 RETURNING *", runner.id
        )
        if row is None or row["failures_in_row"] < self._max_failures_in_row or row["cordoned"]:
            return
        reason = (
            f"{row['failures_in_row']} jobs in a row failed here, the last with {safe(result.error.code)}"
        )
        await self._change(runner.id, Action.RUNNER_CORDONED, cordoned=True, cordon_reason=reason)
        _log.warning("runner cordoned", runner=runner.id, reason=reason)

    async def unregister(self, runner: RunnerIdentity, session: str) -> None:
        """End a session; a job that it holds is handed back and costs no attempt."""

        async def work(transaction: Transaction) -> None:
            ended = await transaction.rows(
                "UPDATE runners SET session = NULL, draining = FALSE, last_seen_at = $3"
                " WHERE id = $1 AND session = $2 RETURNING id",
                runner.id,
                session,
                self._clock.now(),
            )
            if not ended:
                raise SessionLost(TAKEN_OVER)
            await self._leases.let_go(transaction, runner.id, Event.HANDED_BACK)
            self._tell(transaction, runner.id)

        await self._database.transaction(work)
        self._presence.forget(runner.id)

    async def delete(self, runner_id: str) -> None:
        """Revoke a runner's token at once; what it holds is queued again."""

        async def work(transaction: Transaction) -> None:
            if not await transaction.rows("DELETE FROM runners WHERE id = $1 RETURNING id", runner_id):
                raise NotFound("There is no such runner")
            await self._leases.let_go(transaction, runner_id, Event.LEASE_EXPIRED)
            await note(transaction, Action.RUNNER_REVOKED, runner_id)
            self._tell(transaction, runner_id)

        await self._database.transaction(work)
        self._presence.forget(runner_id)

    async def cordon(self, runner_id: str, *, cordoned: bool) -> RunnerInfo:
        """Give the runner no new jobs, or give it jobs again."""
        if cordoned:
            return await self._change(runner_id, Action.RUNNER_CORDONED, cordoned=True)
        return await self._change(
            runner_id, Action.RUNNER_UNCORDONED, cordoned=False, cordon_reason=None, failures_in_row=0
        )

    async def drain(self, runner_id: str) -> RunnerInfo:
        """Let the runner finish what it holds, unregister and exit."""
        return await self._change(runner_id, Action.RUNNER_DRAINED, draining=True)

    async def _change(self, runner_id: str, action: Action, **columns: Any) -> RunnerInfo:
        assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, start=2))

        async def work(transaction: Transaction) -> RunnerInfo:
            row = await transaction.row(
                f"UPDATE runners SET {assignments} WHERE id = $1 RETURNING *",  # noqa: S608  names of ours
                runner_id,
                *columns.values(),
            )
            if row is None:
                raise NotFound("There is no such runner")
            await note(transaction, action, runner_id)
            self._tell(transaction, runner_id)
            held = await transaction.row(
                "SELECT id FROM jobs WHERE runner_id = $1 AND state IN ('assigned', 'running')", runner_id
            )
            return self._info(row | {"job": held["id"] if held else None})

        return await self._database.transaction(work)

    async def overview(self) -> RunnerList:
        """Return every runner, the newest last."""
        rows = await self._database.rows(
            "SELECT runners.*, (SELECT jobs.id FROM jobs WHERE jobs.runner_id = runners.id"
            " AND jobs.state IN ('assigned', 'running') LIMIT 1) AS job FROM runners ORDER BY runners.id"
        )
        return RunnerList([self._info(row) for row in rows])

    def _info(self, row: dict[str, Any]) -> RunnerInfo:
        now = self._clock.now()
        created_at = moment(row["created_at"])
        assert created_at is not None
        return RunnerInfo(
            id=row["id"],
            name=row["name"],
            online=self._presence.is_online(row["id"], row["session"], row["last_seen_at"], now),
            cordoned=bool(row["cordoned"]),
            cordon_reason=row["cordon_reason"],
            draining=bool(row["draining"]),
            version=row["version"],
            engine=row["engine"],
            device=row["device"],
            models=msgspec.json.decode(row["models"], type=list[str]),
            job=row["job"],
            last_seen=moment(self._presence.last_seen(row["id"], row["last_seen_at"])),
            created_at=created_at,
        )

    def _tell(self, transaction: Transaction, runner_id: str) -> None:
        transaction.after_commit.append(lambda: self._signals.tell(RunnerNews(runner_id)))


def _offers(row: Row) -> tuple[str, ...]:
    return _offers_of(row["models"], row["device"] or "")


@lru_cache(maxsize=256)
def _offers_of(models: str, device: str) -> tuple[str, ...]:
    return offers_of(msgspec.json.decode(models, type=list[str]), device)
