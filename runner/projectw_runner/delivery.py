"""Results reach the server, if need be after a restart: until one is delivered, a copy is kept on disk."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from projectw_runner.backoff import Backoff, passes_by_itself
from projectw_runner.client import RunnerClient
from projectw_runner.engines import Step
from projectw_runner.heartbeat import Beats
from projectw_runner.held import Ending, Held
from projectw_shared.errors import Gap, ProjectWError
from projectw_shared.messages import HeldJob, Result, ResultError

DAYS_OF_OTHERS = 7
"""How long a result that belongs to another token is left alone. No lease lasts so long."""


class Kept(msgspec.Struct, frozen=True):
    """A result with what must be at the server before it: segments that may not have been sent."""

    session: str
    job_id: str
    pieces: list[HeldJob]
    result: Result

    def to_held(self) -> Held:
        """Return the job as it was when its work was done."""
        first = self.pieces[0].first if self.pieces else self.result.next
        held = Held(self.job_id, self.result.lease, first=first or 0)
        for piece in self.pieces:
            held.duration = piece.duration
            held.add(Step(tuple(piece.segments or ()), piece.resume_at or 0.0, piece.language))
        return held


class Outbox:
    """A private folder of results that are not delivered yet, one file each, written whole or not at all.

    Runners with other tokens may share the folder: ``token`` tells which results are ours, by its hash alone.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self._folder = folder
        self._owner = hashlib.sha256(token.encode()).hexdigest()[:16]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, kept: Kept) -> Path:
        """Write ``kept`` durably, readable by this user alone, and return its file. Raises OSError."""
        name = hashlib.sha256(f"{kept.job_id} {kept.result.lease}".encode()).hexdigest()[:24]
        path = self._folder / f"{self._owner}-{name}.json"
        handle, draft = tempfile.mkstemp(prefix=f"{self._owner}-", suffix=".part", dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
        return path

    def leftovers(self) -> Iterator[tuple[Path, Kept]]:
        """Yield what earlier runs with this token have left; what cannot be read is removed."""
        for draft in self._folder.glob(f"{self._owner}-*.part"):
            draft.unlink(missing_ok=True)
        for path in sorted(self._folder.glob(f"{self._owner}-*.json")):
            try:
                yield path, msgspec.json.decode(path.read_bytes(), type=Kept)
            except (msgspec.DecodeError, UnicodeDecodeError, OSError):
                path.unlink(missing_ok=True)

    def remove_forgotten(self) -> None:
        """Remove what runners with other tokens have left long ago, so that no text lies here for ever."""
        for path in self._folder.iterdir():
            if path.stat().st_mtime < time.time() - DAYS_OF_OTHERS * 86_400:
                path.unlink(missing_ok=True)


class Delivery:
    """Brings results to the server, and what must be there before them."""

    def __init__(self, client: RunnerClient, outbox: Outbox) -> None:
        self._client = client
        self._outbox = outbox
        self._log = structlog.get_logger()

    async def deliver(self, beats: Beats, held: Held, result: Result) -> None:
        """Return when the server has ``result``, or will never take it. If cancelled before, it stays on disk."""
        path = self._keep(Kept(beats.session, held.id, list(held.unsent()), result))
        await self._bring(beats, held, result)
        if path is not None:
            path.unlink(missing_ok=True)

    async def deliver_leftovers(self) -> None:
        """Deliver what earlier runs have left, under the sessions that they had.

        Call it before registering: a registration ends these sessions, and with them the leases.
        """
        self._outbox.remove_forgotten()
        for path, kept in self._outbox.leftovers():
            self._log.info("delivering a result that an earlier run has left", job_id=kept.job_id)
            beats = Beats(self._client, kept.session)
            await self._bring(beats, kept.to_held(), kept.result)
            path.unlink(missing_ok=True)

    def _keep(self, kept: Kept) -> Path | None:
        try:
            return self._outbox.keep(kept)
        except OSError as error:
            # The result may still be delivered, just not after a restart.
            self._log.warning("the result cannot be kept on disk", job_id=kept.job_id, reason=error.strerror)
            return None

    async def _bring(self, beats: Beats, held: Held, result: Result) -> None:
        backoff = Backoff()
        while True:
            await beats.flush(held)
            if held.ending in (Ending.LOST, Ending.EXPELLED):
                self._log.warning("result dropped, the job is not ours any more", job_id=held.id)
                return
            if held.ending is Ending.REFUSED and result.error is None:
                result = refusal(held)
            try:
                await self._client.send_result(held.id, result)
                return
            except Gap as gap:
                held.rewind(gap.next)
                await backoff.pause()
            except ProjectWError as error:
                if passes_by_itself(error):
                    self._log_pause(held, error, backoff.tries)
                    await backoff.pause(error)
                    continue
                held.end_after(error)
                if held.ending is Ending.REFUSED and result.error is not None:
                    self._log.error(
                        "the server does not take this result", job_id=held.id, reason=error.detail
                    )
                    return

    def _log_pause(self, held: Held, error: ProjectWError, tries: int) -> None:
        level = self._log.debug if tries else self._log.warning
        level("result not delivered, trying again", job_id=held.id, code=error.code, reason=error.detail)


def refusal(held: Held) -> Result:
    """Return the result of a job whose transcript the server does not take."""
    code = held.error.code if held.error else "refused"
    message = f"The server did not accept what the runner sent ({code})."
    return Result(lease=held.lease, error=ResultError("runner-error", message))
