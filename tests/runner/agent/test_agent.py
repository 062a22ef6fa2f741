"""The agent against a server that keeps the contract, and that misbehaves where a test asks for it."""

import asyncio
from pathlib import Path

import pytest

from projectw_runner.failures import JobFailure
from projectw_shared.errors import SessionLost, Unauthorized, Unavailable

from .conftest import Logged, StartAgent
from .fake_server import FakeJob, FakeServer, Fault
from .fakes import FakeMedia, SteppedEngine, segment

THREE = [" segment 0", " segment 1", " segment 2"]


def outbox(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "outbox").iterdir())


def leftovers(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "jobs").iterdir())


async def test_an_assigned_job_becomes_segments_and_then_a_result(
    server: FakeServer, start_agent: StartAgent, media: FakeMedia, tmp_path: Path
) -> None:
    runner = await start_agent()
    job = await server.submit(FakeJob(audio=b"the recording"))
    await server.until(lambda: bool(job.results))

    assert job.texts == THREE
    result = job.results[0]
    assert (result.next, result.language, result.duration, result.error) == (3, "en", 30.0, None)
    assert media.opened[0].audio == b"the recording"
    assert media.modes == [0o700]
    await runner.stop()
    assert server.unregistered == server.sessions
    assert leftovers(tmp_path) == outbox(tmp_path) == []


async def test_it_registers_with_what_it_is(server: FakeServer, start_agent: StartAgent) -> None:
    await start_agent()
    await server.until(lambda: bool(server.registrations))
    seen = server.registrations[0]
    assert (seen.name, seen.engine, seen.device, seen.models) == (
        "test",
        "stepped",
        "cpu (test)",
        ["tiny.en"],
    )


async def test_jobs_follow_one_another_in_one_engine_and_one_thread(
    server: FakeServer, start_agent: StartAgent
) -> None:
    jobs = [await server.submit(FakeJob()) for _ in range(3)]
    runner = await start_agent()
    await server.until(lambda: all(job.results for job in jobs))
    assert [job.texts for job in jobs] == [THREE] * 3
    assert len(runner.engine.threads) == 1


async def test_segments_and_progress_leave_while_the_job_runs(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: job.texts == THREE[:1])
    assert not job.results
    assert job.progress[-1] == pytest.approx(1 / 3)
    assert job.resume_at == 10.0
    runner.engine.allow(2)
    await server.until(lambda: bool(job.results))


async def test_the_lease_is_renewed_while_the_engine_computes(
    server: FakeServer, start_agent: StartAgent
) -> None:
    server.heartbeat_seconds = 0.1
    runner = await start_agent(SteppedEngine(permits=0))
    await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 1)
    beats = server.seen["status"]
    await server.until(lambda: server.seen["status"] >= beats + 3)


async def test_the_lease_is_renewed_while_the_recording_is_fetched(
    server: FakeServer, start_agent: StartAgent
) -> None:
    server.heartbeat_seconds = 0.1
    server.fault("audio", *[Fault(act=False, error=Unavailable(retry_after=0.5))] * 3)
    await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: server.seen["status"] >= 2)
    assert not job.segments
    await server.until(lambda: bool(job.results))


async def test_it_goes_on_where_an_earlier_attempt_ended(server: FakeServer, start_agent: StartAgent) -> None:
    job = FakeJob(segments=[segment(0), segment(1)], resume_at=20.0, language="en", duration=30.0)
    runner = await start_agent()
    await server.submit(job)
    await server.until(lambda: bool(job.results))
    assert job.texts == THREE
    task = runner.engine.tasks[0]
    assert (task.first, task.resume_at, task.language) == (2, 20.0, "en")
    assert [each.id for each in task.previous] == [0, 1]


async def test_what_the_server_lacks_after_a_gap_is_sent_again(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(SteppedEngine(permits=2))
    job = await server.submit(FakeJob())
    await server.until(lambda: len(job.segments) == 2)
    del job.segments[1:]
    runner.engine.allow(1)
    await server.until(lambda: bool(job.results))
    assert job.texts == THREE


async def test_a_gap_at_the_result_is_mended_too(server: FakeServer, start_agent: StartAgent) -> None:
    job = FakeJob()

    async def forget() -> None:
        await server.until(lambda: len(job.segments) == 3)
        job.segments.clear()

    forgetting = asyncio.create_task(forget())
    server.fault("result", Fault(act=False, error=Unavailable(retry_after=0.5)))
    await start_agent()
    await server.submit(job)
    await server.until(lambda: bool(job.results))
    await forgetting
    assert job.texts == THREE


@pytest.mark.parametrize("kind", ["register", "idle", "segments", "result"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(drop=True),
        Fault(drop=True, act=False),
        Fault(error=Unavailable(retry_after=0.0)),
        Fault(act=False, error=Unavailable(retry_after=0.0)),
    ],
    ids=["answer lost", "request lost", "done but unavailable", "unavailable"],
)
async def test_no_segment_is_lost_or_doubled_when_an_exchange_fails(
    server: FakeServer, start_agent: StartAgent, kind: str, fault: Fault
) -> None:
    server.fault(kind, fault, fault)
    runner = await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(job.results))
    await runner.stop()
    assert job.texts == THREE
    assert [result.next for result in job.results] == [3]
    assert job.lease == 1


async def test_an_abort_is_answered_after_the_batch_under_way(
    server: FakeServer, start_agent: StartAgent, media: FakeMedia, tmp_path: Path, logged: Logged
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 2)
    await server.cancel(job)
    await server.until(lambda: logged("job let go"))
    runner.engine.allow(1)
    await server.until(lambda: bool(job.results))

    error = job.results[0].error
    assert error is not None
    assert error.code == "cancelled"
    assert runner.engine.begun == 2
    assert runner.engine.closed == 1
    assert len(runner.engine.threads) == 1
    assert job.texts == THREE[:2]
    assert media.opened[0].is_closed
    assert leftovers(tmp_path) == []

    following = await server.submit(FakeJob())
    runner.engine.allow(3)
    await server.until(lambda: bool(following.results))
    assert following.texts == THREE


async def test_an_abort_while_the_recording_is_fetched_is_answered(
    server: FakeServer, start_agent: StartAgent
) -> None:
    server.fault("audio", *[Fault(act=False, error=Unavailable(retry_after=60))] * 5)
    runner = await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: server.seen["audio"] == 1)
    await server.cancel(job)
    await server.until(lambda: bool(job.results))
    assert job.results[0].error is not None
    assert job.results[0].error.code == "cancelled"
    assert runner.engine.tasks == []
    assert server.seen["audio"] == 1


async def test_a_job_whose_lease_is_lost_is_dropped_and_the_next_one_taken(
    server: FakeServer, start_agent: StartAgent, logged: Logged
) -> None:
    server.heartbeat_seconds = 0.2
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 2)
    await server.take_away(job)
    await server.until(lambda: logged("job let go"), seconds=30)
    runner.engine.allow(10)
    following = await server.submit(FakeJob())
    await server.until(lambda: bool(following.results))
    assert job.results == []
    assert job.texts == THREE[:1]
    assert runner.engine.closed == 2


async def test_a_gap_before_what_it_has_lets_go_of_the_job(
    server: FakeServer, start_agent: StartAgent
) -> None:
    job = FakeJob(segments=[segment(0)], resume_at=10.0, duration=30.0)
    runner = await start_agent(SteppedEngine(permits=1))
    await server.submit(job)
    await server.until(lambda: len(job.segments) == 2)
    job.segments.clear()
    job.resume_at = 0.0
    runner.engine.allow(10)
    # The server still counts it as held: the idle runner gets it again, from where the server stands.
    await server.until(lambda: bool(job.results))
    assert job.texts == THREE
    assert [task.first for task in runner.engine.tasks] == [1, 0]


async def test_another_registration_ends_it_without_a_second_try(
    server: FakeServer, start_agent: StartAgent, tmp_path: Path
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: len(job.segments) == 1)
    server.sessions.append("another")
    runner.engine.allow(10)
    with pytest.raises(SessionLost):
        await runner.leaves()
    assert len(server.registrations) == 1
    assert server.unregistered == []
    assert leftovers(tmp_path) == outbox(tmp_path) == []


async def test_expelled_it_does_not_wait_for_the_batch_for_ever(
    server: FakeServer, start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectw_runner.agent.STEP_GRACE", 0.05)
    server.heartbeat_seconds = 0.2
    runner = await start_agent(SteppedEngine(permits=0))
    await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 1)
    server.sessions.append("another")
    with pytest.raises(SessionLost):
        await runner.leaves()
    assert runner.worker.is_stuck


async def test_an_engine_that_hangs_costs_its_job_one_attempt_and_ends_the_runner(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(SteppedEngine(permits=1), step_seconds=0.3)
    job = FakeJob()
    await server.submit(job)
    await runner.leaves()
    assert runner.worker.has_hung
    assert runner.worker.is_stuck
    (result,) = job.results
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("engine-stuck", True)
    assert len(server.unregistered) == 1


async def test_a_refused_token_ends_it_at_once(server: FakeServer, start_agent: StartAgent) -> None:
    runner = await start_agent(token="pwr_wrong")
    with pytest.raises(Unauthorized):
        await runner.leaves()


async def test_a_token_revoked_in_mid_job_ends_it(server: FakeServer, start_agent: StartAgent) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: len(job.segments) == 1)
    server.token = "pwr_another"
    runner.engine.allow(10)
    with pytest.raises(Unauthorized):
        await runner.leaves()


async def test_drained_while_idle_it_leaves(server: FakeServer, start_agent: StartAgent) -> None:
    runner = await start_agent()
    await server.until(lambda: server.seen["idle"] > 0)
    await server.drain()
    await runner.leaves()
    assert server.unregistered == server.sessions


async def test_drained_while_working_it_finishes_the_job_and_takes_no_other(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: len(job.segments) == 1)
    await server.drain()
    waiting = await server.submit(FakeJob())
    runner.engine.allow(2)
    await runner.leaves()
    assert [result.next for result in job.results] == [3]
    assert waiting.lease == 0
    assert job.hand_backs == 0


async def test_stopped_it_hands_the_job_back_with_the_batch_under_way(
    server: FakeServer, start_agent: StartAgent, logged: Logged
) -> None:
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 2)
    runner.agent.stop()
    await server.until(lambda: logged("job let go"))
    runner.engine.allow(1)
    await runner.leaves()
    assert job.texts == THREE[:2]
    assert job.resume_at == 20.0
    assert job.hand_backs == 1
    assert job.results == []


async def test_a_batch_that_does_not_end_is_left_behind(
    server: FakeServer, start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectw_runner.agent.STEP_GRACE", 0.05)
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 2)
    runner.agent.stop()
    await runner.leaves()
    assert runner.worker.is_stuck
    assert job.hand_backs == 1


@pytest.mark.parametrize(
    ("failure", "code", "retryable"),
    [
        (
            JobFailure("out-of-memory", "The GPU has too little memory.", retryable=True),
            "out-of-memory",
            True,
        ),
        (JobFailure("no-audio", "There is no sound in it."), "no-audio", False),
        (ZeroDivisionError("secret path /srv/x"), "runner-error", True),
    ],
)
async def test_a_job_that_fails_says_why_and_keeps_what_it_had(
    server: FakeServer, start_agent: StartAgent, failure: Exception, code: str, retryable: bool
) -> None:
    engine = SteppedEngine()
    engine.failure, engine.fail_at = failure, 2
    await start_agent(engine)
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(job.results))
    error = job.results[0].error
    assert error is not None
    assert (error.code, error.retryable) == (code, retryable)
    assert "secret" not in error.message
    assert job.texts == THREE[:2]


async def test_a_recording_that_cannot_be_opened_fails_its_job_alone(
    server: FakeServer, start_agent: StartAgent, media: FakeMedia
) -> None:
    media.failure = JobFailure("unsupported-media", "This is no sound.")
    await start_agent()
    bad = await server.submit(FakeJob())
    await server.until(lambda: bool(bad.results))
    media.failure = None
    good = await server.submit(FakeJob())
    await server.until(lambda: bool(good.results))
    assert bad.results[0].error is not None
    assert good.texts == THREE


async def test_an_idle_engine_gives_its_memory_back_and_still_does_the_next_job(
    server: FakeServer, start_agent: StartAgent
) -> None:
    runner = await start_agent(idle_seconds=0.05)
    first = await server.submit(FakeJob())
    await server.until(lambda: bool(first.results) and runner.engine.unloads == 1)
    second = await server.submit(FakeJob())
    await server.until(lambda: bool(second.results))
    assert len(runner.engine.threads) == 1


async def test_a_busy_engine_keeps_its_memory(server: FakeServer, start_agent: StartAgent) -> None:
    server.heartbeat_seconds = 0.2
    runner = await start_agent(SteppedEngine(permits=3), idle_seconds=0.2)
    first = await server.submit(FakeJob())
    await server.until(lambda: bool(first.results))
    second = await server.submit(FakeJob())
    await server.until(lambda: runner.engine.begun == 4)
    # Two rounds of the heartbeat are longer than the idle time.
    beats = server.seen["status"]
    await server.until(lambda: server.seen["status"] > beats + 1)
    runner.engine.allow(3)
    await server.until(lambda: bool(second.results))
    events = runner.engine.events
    begin = len(events) - events[::-1].index("transcribe")
    assert events[begin] == "close"
