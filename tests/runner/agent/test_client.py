"""A recording arrives whole or not at all, whatever the line does."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from projectw_runner import client as module
from projectw_runner.client import RunnerClient
from projectw_runner.failures import JobFailure
from projectw_shared.errors import LeaseLost, NotFound, Unavailable

from .conftest import api_of
from .fake_server import FakeJob, FakeServer, Fault

AUDIO = os.urandom(300_000)


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[RunnerClient]:
    async with api_of(server.url) as api:
        yield RunnerClient(api)


@pytest.fixture
def job(server: FakeServer) -> FakeJob:
    held = FakeJob(audio=AUDIO, lease=1, held_by="someone")
    server.jobs[held.id] = held
    return held


async def test_it_is_written_as_it_was_stored(client: RunnerClient, job: FakeJob, tmp_path: Path) -> None:
    await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (tmp_path / "recording").read_bytes() == AUDIO


async def test_a_broken_download_goes_on_where_it_broke(
    server: FakeServer, client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    server.fault("audio", Fault(cut_after=200_000), Fault(cut_after=1), Fault(drop=True, act=False))
    await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (tmp_path / "recording").read_bytes() == AUDIO
    ranges = [headers.get("Range") for headers in server.headers["audio"]]
    assert ranges[0] is None
    assert all(each and each.startswith("bytes=") and each != "bytes=0-" for each in ranges[1:])
    assert {headers.get("If-Range") for headers in server.headers["audio"][1:]} == {f'"{job.sha256}"'}


async def test_as_long_as_something_comes_a_download_is_not_given_up(
    server: FakeServer,
    client: RunnerClient,
    job: FakeJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DOWNLOAD_TRIES", 1)
    server.fault("audio", *[Fault(cut_after=70_000)] * 4)
    await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (tmp_path / "recording").read_bytes() == AUDIO


async def test_a_server_that_does_not_resume_is_asked_for_the_whole(
    server: FakeServer, client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    server.fault("audio", Fault(cut_after=200_000), Fault(ignore_range=True))
    await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (tmp_path / "recording").read_bytes() == AUDIO


async def test_an_altered_recording_is_fetched_once_more(
    server: FakeServer, client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    server.fault("audio", Fault(alter=True))
    await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (tmp_path / "recording").read_bytes() == AUDIO


async def test_a_recording_with_the_wrong_digest_is_refused(
    client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    job.sha256 = "0" * 64
    with pytest.raises(JobFailure) as caught:
        await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (caught.value.code, caught.value.retryable) == ("audio-corrupt", True)


async def test_a_recording_longer_than_said_is_refused(
    client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    assignment = job.assignment()
    job.audio += b"more"
    with pytest.raises(JobFailure) as caught:
        await client.fetch_audio(assignment, tmp_path / "recording")
    assert caught.value.code == "audio-corrupt"


async def test_a_lost_lease_ends_the_download(client: RunnerClient, job: FakeJob, tmp_path: Path) -> None:
    job.held_by = None
    with pytest.raises(LeaseLost):
        await client.fetch_audio(job.assignment(), tmp_path / "recording")


async def test_a_recording_that_the_server_does_not_have_fails_the_job(
    server: FakeServer, client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    server.fault("audio", Fault(act=False, error=NotFound()))
    with pytest.raises(JobFailure) as caught:
        await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert caught.value.code == "audio-missing"


async def test_a_download_that_never_moves_is_given_up(
    server: FakeServer,
    client: RunnerClient,
    job: FakeJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DOWNLOAD_TRIES", 2)
    server.fault("audio", *[Fault(act=False, error=Unavailable(retry_after=0.0))] * 10)
    with pytest.raises(JobFailure) as caught:
        await client.fetch_audio(job.assignment(), tmp_path / "recording")
    assert (caught.value.code, caught.value.retryable) == ("download-failed", True)


async def test_a_full_disk_is_said_and_worth_another_runner(
    client: RunnerClient, job: FakeJob, tmp_path: Path
) -> None:
    full = tmp_path / "recording"
    full.symlink_to("/dev/full")
    with pytest.raises(JobFailure) as caught:
        await client.fetch_audio(job.assignment(), full)
    assert (caught.value.code, caught.value.retryable) == ("runner-disk", True)
    assert "disk is full" in caught.value.message
