"""Results are kept until the server has them, and go when it never will take them."""

import os
import stat
import time
from pathlib import Path

import pytest

from projectw_runner.delivery import Kept, Outbox
from projectw_runner.engines import Step
from projectw_runner.held import Held
from projectw_shared.errors import Invalid, Unavailable
from projectw_shared.messages import Result

from .conftest import Logged, StartAgent
from .fake_server import FakeJob, FakeServer, Fault
from .fakes import SteppedEngine, segment

THREE = [" segment 0", " segment 1", " segment 2"]
DOWN = Fault(act=False, error=Unavailable(retry_after=0.0))


def kept_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "outbox").iterdir())


async def test_an_undelivered_result_survives_a_restart_with_its_unsent_segments(
    server: FakeServer, start_agent: StartAgent, tmp_path: Path, logged: Logged
) -> None:
    server.fault("segments", *[DOWN] * 50)
    server.fault("result", *[DOWN] * 50)
    first = await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(kept_files(tmp_path)))
    await first.crash()
    assert job.texts == []
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept_files(tmp_path)] == [0o600]

    server.clear_faults()
    second = await start_agent()
    await server.until(lambda: bool(job.results))
    assert job.texts == THREE
    assert (job.results[0].next, job.results[0].duration) == (3, 30.0)
    assert second.engine.tasks == []
    await server.until(lambda: len(server.sessions) == 2 and kept_files(tmp_path) == [])
    assert job.lease == 1


async def test_a_stop_while_the_server_takes_no_result_keeps_it_and_the_lease(
    server: FakeServer, start_agent: StartAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectw_runner.agent.FAREWELL_GRACE", 0.05)
    server.fault("result", *[DOWN] * 50)
    runner = await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: server.seen["result"] > 0)
    await runner.stop()
    assert server.unregistered == []
    assert len(kept_files(tmp_path)) == 1

    server.clear_faults()
    await start_agent()
    await server.until(lambda: bool(job.results) and kept_files(tmp_path) == [])
    assert job.hand_backs == 0


async def test_the_lease_is_kept_while_the_result_cannot_be_delivered(
    server: FakeServer, start_agent: StartAgent
) -> None:
    server.heartbeat_seconds = 0.1
    server.fault("result", *[DOWN] * 4)
    await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: server.seen["result"] == 2)
    beats = server.seen["status"]
    await server.until(lambda: bool(job.results))
    assert server.seen["status"] > beats


async def test_a_leftover_that_is_not_ours_any_more_is_dropped(
    server: FakeServer, start_agent: StartAgent, tmp_path: Path
) -> None:
    server.fault("result", *[DOWN] * 50)
    first = await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(kept_files(tmp_path)))
    await first.crash()
    await server.take_away(job)
    server.clear_faults()
    await start_agent()
    await server.until(lambda: len(server.sessions) == 2)
    assert kept_files(tmp_path) == []
    assert job.results == []


async def test_a_result_that_the_server_refuses_becomes_an_error_that_it_takes(
    server: FakeServer, start_agent: StartAgent, tmp_path: Path
) -> None:
    server.fault("result", Fault(act=False, error=Invalid("no")))
    await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(job.results))
    error = job.results[0].error
    assert error is not None
    assert error.code == "runner-error"
    await server.until(lambda: kept_files(tmp_path) == [])


async def test_segments_that_the_server_refuses_end_the_job_with_an_error(
    server: FakeServer, start_agent: StartAgent
) -> None:
    server.fault("segments", Fault(act=False, error=Invalid("no")))
    runner = await start_agent(SteppedEngine(permits=1))
    job = await server.submit(FakeJob())
    await server.until(lambda: server.seen["segments"] == 1)
    runner.engine.allow(10)
    await server.until(lambda: bool(job.results))
    assert job.results[0].error is not None


async def test_a_full_disk_does_not_keep_a_result_from_the_server(
    server: FakeServer, start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Outbox, "keep", full)
    await start_agent()
    job = await server.submit(FakeJob())
    await server.until(lambda: bool(job.results))
    assert logged("the result cannot be kept on disk")


def kept(job_id: str = "a") -> Kept:
    held = Held(job_id, 7, first=4)
    held.add(Step((segment(4), segment(5)), 60.0, "de"))
    return Kept("session", job_id, list(held.unsent()), Result(lease=7, next=6, duration=60.0))


async def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox", "token")
    path = box.keep(kept())
    assert list(Outbox(tmp_path / "outbox", "token").leftovers()) == [(path, kept())]
    held = kept().to_held()
    assert (held.id, held.lease, held.next, held.language) == ("a", 7, 6, "de")
    assert list(held.unsent()) == kept().pieces


async def test_a_job_id_is_never_a_path(tmp_path: Path) -> None:
    path = Outbox(tmp_path / "outbox", "token").keep(kept("../../evil"))
    assert path.parent == tmp_path / "outbox"


async def test_results_of_another_token_stay_until_they_are_forgotten(tmp_path: Path) -> None:
    path = Outbox(tmp_path / "outbox", "another").keep(kept())
    box = Outbox(tmp_path / "outbox", "token")
    box.remove_forgotten()
    assert list(box.leftovers()) == []
    assert path.exists()
    long_ago = time.time() - 8 * 86_400
    os.utime(path, (long_ago, long_ago))
    box.remove_forgotten()
    assert not path.exists()


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"session": 3}', b'{"session": "\xff"}'])
async def test_a_file_that_is_no_result_is_removed(tmp_path: Path, rubbish: bytes) -> None:
    box = Outbox(tmp_path / "outbox", "token")
    path = box.keep(kept())
    path.write_bytes(rubbish)
    assert list(box.leftovers()) == []
    assert not path.exists()
