"""Learning how fast runners are, from the jobs that they have done."""

from projectw_server.clock import Clock
from projectw_server.db import Database, Row
from projectw_server.jobs.forecast import model_of
from projectw_shared.messages import Result

MIN_AUDIO_SECONDS = 10.0
"""Of a shorter piece most of the time goes into fetching and decoding."""

WEIGHT = 0.25
"""Of what was measured last, in the moving average."""


async def learn(database: Database, clock: Clock, job: Row, result: Result) -> None:
    """Note how fast the runner of ``job``, as it was before its ``result``, has done what was left of it."""
    duration = result.duration if result.duration is not None else job["duration"]
    if result.error is not None or duration is None or job["started_at"] is None:
        return
    audio, taken = duration - job["resumed_from"], clock.now() - job["started_at"]
    if audio < MIN_AUDIO_SECONDS or taken <= 0:
        return
    await database.rows(
        "INSERT INTO speeds (runner_id, model, language, factor, samples)"
        " SELECT id, $2, $3, $4, 1 FROM runners WHERE id = $1"
        " ON CONFLICT (runner_id, model, language) DO UPDATE"
        " SET factor = speeds.factor + (excluded.factor - speeds.factor) * $5, samples = speeds.samples + 1",
        job["runner_id"],
        model_of(job["needs"]),
        result.language or job["language"] or "",
        audio / taken,
        WEIGHT,
    )
