from pathlib import Path

import pytest
from textual.widgets import Checkbox, Input, Select, Static

from projectw_shared.errors import UnsupportedMedia
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.upload import UploadScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.file_tree import FileTree

from .driving import Pilot, arrives, row, shows, signed_in, table, text
from .fake_server import FakeServer


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    for name in ("a.wav", "b.mp3", "notes.txt", ".hidden.wav", "more/c.ogg"):
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "empty.wav").touch()
    monkeypatch.chdir(folder)
    return folder


async def choose(pilot: Pilot[None]) -> UploadScreen:
    await pilot.press("u")
    screen = await arrives(pilot, UploadScreen)
    await shows(pilot, lambda: "a.wav" in text(pilot))
    return screen


def refusal(screen: UploadScreen) -> str:
    return str(screen.query_one("#refusal", Static).content)


async def test_several_files_are_chosen_and_sent_with_their_settings(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        await pilot.press("down", "down", "space", "space")  # past the folder "more": a.wav, b.mp3
        await shows(pilot, lambda: "2 chosen" in text(pilot))
        screen.query_one("#model", Select).value = "base"
        screen.query_one("#language", Select).value = "de"
        await pilot.press("ctrl+s")
        await arrives(pilot, JobsScreen)
        await shows(pilot, lambda: len(fake.jobs) == 2 and text(pilot).count("queued") == 2)
    assert [job.file_name for job in fake.jobs.values()] == ["a.wav", "b.mp3"]
    assert {(job.settings.model, job.settings.language) for job in fake.jobs.values()} == {("base", "de")}
    assert sorted(fake.received.values()) == [b"a.wav" * 100, b"b.mp3" * 100]


async def test_hidden_files_are_shown_on_request(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await choose(pilot)
        assert ".hidden.wav" not in text(pilot)
        await pilot.press("full_stop")
        await shows(pilot, lambda: ".hidden.wav" in text(pilot))


async def test_the_filter_leaves_folders_and_what_fits(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await choose(pilot)
        await pilot.press("slash", *"mp3", "enter")
        await shows(pilot, lambda: "a.wav" not in text(pilot) and "b.mp3" in text(pilot))
        assert "more" in text(pilot)


async def test_a_filter_does_not_hide_what_is_in_the_next_folder(
    fake: FakeServer, settings: TuiSettings, recordings: Path
) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        await pilot.press("slash", *"mp3", "enter")
        await shows(pilot, lambda: "a.wav" not in text(pilot))
        path = screen.query_one("#path", Input)
        path.focus()
        path.value = str(recordings / "more")
        await pilot.press("enter")
        await shows(pilot, lambda: "c.ogg" in text(pilot))


async def test_files_can_be_chosen_in_a_window_of_40_columns(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant(), (40, 12)) as pilot:
        await choose(pilot)
        await pilot.press("down", "down", "space")
        await shows(pilot, lambda: "✓ a.wav" in text(pilot))


async def test_a_box_that_is_not_checked_shows_no_cross(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        assert "X" not in row(pilot, "time stamp each")
        screen.query_one("#words", Checkbox).value = True
        await shows(pilot, lambda: "X" in row(pilot, "time stamp each"))


async def test_a_path_can_be_typed(fake: FakeServer, settings: TuiSettings, recordings: Path) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        path = screen.query_one("#path", Input)
        path.focus()
        path.value = str(recordings / "more")
        await pilot.press("enter")
        await shows(pilot, lambda: "c.ogg" in text(pilot))
        path.focus()
        path.value = str(recordings / "a.wav")
        await pilot.press("enter")
        await shows(pilot, lambda: "1 chosen" in text(pilot))
        path.focus()
        path.value = str(recordings / "absent")
        await pilot.press("enter")
        await shows(pilot, lambda: "does not exist" in refusal(screen))


async def test_the_folder_above_is_one_key_away(
    fake: FakeServer, settings: TuiSettings, recordings: Path
) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        await pilot.press("backspace")
        await shows(pilot, lambda: Path(screen.query_one(FileTree).path) == recordings.parent)


async def test_what_cannot_be_sent_is_said_before_it_is_sent(
    fake: FakeServer, settings: TuiSettings, recordings: Path
) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "No file is marked" in refusal(screen))
        tree = screen.query_one(FileTree)
        tree.toggle(recordings / "empty.wav")
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "is empty" in refusal(screen))
        tree.toggle(recordings / "empty.wav")
        tree.toggle(recordings / "a.wav")
        screen.query_one("#model", Select).value = "tiny.en"
        screen.query_one("#language", Select).value = "de"
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "knows English only" in refusal(screen))
    assert not fake.calls("POST", "/api/jobs")


async def test_escape_sends_nothing(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await choose(pilot)
        await pilot.press("escape")
        await arrives(pilot, JobsScreen)
    assert not fake.calls("POST", "/api/jobs")


async def test_an_upload_shows_its_progress_and_can_be_broken_off(
    fake: FakeServer, settings: TuiSettings, recordings: Path
) -> None:
    fake.upload_gate.clear()
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        tree = screen.query_one(FileTree)
        tree.toggle(recordings / "a.wav")
        tree.toggle(recordings / "b.mp3")
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "sending" in row(pilot, "a.wav") and "waiting" in row(pilot, "b.mp3"))
        await pilot.press("q")
        await arrives(pilot, ConfirmScreen)
        assert "2 recordings are not at the server yet" in text(pilot)
        await pilot.press("n")
        await arrives(pilot, JobsScreen)
        await pilot.press("end", "c")
        await shows(pilot, lambda: table(pilot).row_count == 1)
        fake.upload_gate.set()
        await shows(pilot, lambda: "queued" in row(pilot, "b.mp3"))
    assert [job.file_name for job in fake.jobs.values()] == ["b.mp3"]


async def test_a_recording_that_is_refused_says_why_and_can_be_sent_again(
    fake: FakeServer, settings: TuiSettings, recordings: Path
) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        screen = await choose(pilot)
        screen.query_one(FileTree).toggle(recordings / "a.wav")
        fake.failing = [UnsupportedMedia("This is a text, no recording.")]
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "not sent" in row(pilot, "a.wav"))
        await shows(pilot, lambda: "This is a text, no recording." in text(pilot))
        await pilot.press("r")
        await shows(pilot, lambda: "queued" in row(pilot, "a.wav"))
    assert len(fake.jobs) == 1
