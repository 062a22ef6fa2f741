import asyncio
from pathlib import Path

import pytest

from projectw_shared.errors import KeyInUse, StorageFull, Unavailable, UnsupportedMedia
from projectw_shared.jobs import JobSettings
from projectw_tui import uploading
from projectw_tui.client import Client
from projectw_tui.settings import TuiSettings
from projectw_tui.uploading import Upload

from .fake_server import EMAIL, PASSWORD, FakeServer


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


async def test_a_recording_arrives_whole_with_its_name_and_settings(
    fake: FakeServer, settings: TuiSettings, recording: Path
) -> None:
    told: list[tuple[int, int]] = []
    async with Client(settings, token=fake.grant()) as client:
        wish = JobSettings(model="base", language="de")
        job = await client.upload(recording, wish, progress=lambda *sent: told.append(sent))
    assert fake.received[job.id] == recording.read_bytes()
    assert (job.file_name, job.settings) == ("speech.wav", wish)
    assert told[-1] == (1 << 20, 1 << 20)
    assert told == sorted(told)


async def test_a_try_that_passes_is_repeated_and_makes_one_job(
    fake: FakeServer, settings: TuiSettings, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading.random, "uniform", lambda *_: 0.0)
    fake.failing = [Unavailable(retry_after=0.01), KeyInUse(retry_after=0.01)]
    async with Client(settings, token=fake.grant()) as client:
        job = await client.upload(recording, JobSettings())
    assert list(fake.jobs) == [job.id]
    assert fake.calls("POST", "/api/jobs") == 3


async def test_a_connection_that_breaks_in_the_middle_is_mended(
    fake: FakeServer, settings: TuiSettings, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading.random, "uniform", lambda *_: 0.0)
    fake.breaks_uploads = 2
    async with Client(settings, token=fake.grant()) as client:
        job = await client.upload(recording, JobSettings())
    assert fake.received == {job.id: recording.read_bytes()}
    assert fake.calls("POST", "/api/jobs") == 3


async def test_a_second_try_under_the_same_key_gives_the_job_that_the_first_made(
    fake: FakeServer, settings: TuiSettings, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the first try is lost after the server has made its job."""
    monkeypatch.setattr(uploading.random, "uniform", lambda *_: 0.0)
    original = uploading._send_once
    tries = 0

    async def losing(*arguments: object) -> object:
        nonlocal tries
        tries += 1
        job = await original(*arguments)  # type: ignore[arg-type]
        if tries == 1:
            raise Unavailable
        return job

    monkeypatch.setattr(uploading, "_send_once", losing)
    async with Client(settings, token=fake.grant()) as client:
        job = await client.upload(recording, JobSettings())
    assert tries == 2
    assert list(fake.jobs) == [job.id]


@pytest.mark.parametrize("error", [UnsupportedMedia("No sound in it."), StorageFull()])
async def test_what_does_not_pass_is_not_tried_again(
    fake: FakeServer, settings: TuiSettings, recording: Path, error: Exception
) -> None:
    fake.failing = [error]  # type: ignore[list-item]
    async with Client(settings, token=fake.grant()) as client:
        with pytest.raises(type(error)):
            await client.upload(recording, JobSettings())
    assert fake.calls("POST", "/api/jobs") == 1


async def test_a_session_that_ended_meanwhile_is_renewed_and_the_recording_sent_again(
    fake: FakeServer, settings: TuiSettings, recording: Path
) -> None:
    async with Client(settings) as client:
        await client.login(EMAIL, PASSWORD)
        fake.access.clear()
        job = await client.upload(recording, JobSettings())
    assert fake.received[job.id] == recording.read_bytes()


async def test_an_upload_can_be_broken_off(fake: FakeServer, settings: TuiSettings, recording: Path) -> None:
    fake.upload_gate.clear()
    async with Client(settings, token=fake.grant()) as client:
        task = asyncio.ensure_future(client.upload(recording, JobSettings()))
        async with asyncio.timeout(5):
            while not fake.calls("POST", "/api/jobs"):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not fake.jobs


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wav", "audio/"),
        ("a.mp4", "video/"),
        ("a.txt", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_only_what_carries_sound_is_named_so(name: str, kind: str) -> None:
    assert Upload(Path(name), JobSettings()).media_type.startswith(kind)


async def test_a_pause_of_years_is_not_waited_for(
    fake: FakeServer, settings: TuiSettings, recording: Path
) -> None:
    fake.failing = [Unavailable(retry_after=1e9)]
    async with Client(settings, token=fake.grant()) as client:
        with pytest.raises(Unavailable):
            await client.upload(recording, JobSettings())
