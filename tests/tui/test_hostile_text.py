"""Names and texts that would drive a terminal or the program, on every screen."""

from pathlib import Path

import pytest

from projectw_shared.errors import IllegalMove
from projectw_shared.jobs import JobSettings, JobState
from projectw_shared.messages import JobError, RunnerRef
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.export import ExportScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.transcript import TranscriptScreen
from projectw_tui.screens.upload import UploadScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.file_tree import FileTree

from .driving import Pilot, arrives, shows, signed_in, table, text
from .fake_server import HOSTILE_NAMES, FakeServer


def assert_harmless(pilot: Pilot[None]) -> None:
    """Nothing on the screen is a control character, and nothing has been taken for an action."""
    for line in text(pilot).split("\n"):
        assert line.isprintable(), repr(line)
    for widget in pilot.app.screen.walk_children():
        for strip in pilot.app.screen._compositor.render_strips():
            for segment in strip:
                meta = segment.style.meta if segment.style else {}
                assert "quit" not in str(meta.get("@click", "")), widget


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_name_is_harmless_on_every_screen(fake: FakeServer, settings: TuiSettings, name: str) -> None:
    job = fake.add(
        file_name=name,
        state=JobState.SUCCEEDED,
        runner=RunnerRef("1", name, "0"),
        language=name[:8],
        settings=JobSettings(),
        duration=3.0,
    )
    fake.say(job.id, name, f"{name} again")
    async with signed_in(settings, fake.grant(), size=(120, 30)) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 1)
        await shows(pilot, lambda: "1.0 MB" in text(pilot))
        assert_harmless(pilot)
        await pilot.press("d")
        await arrives(pilot, ConfirmScreen)
        assert_harmless(pilot)
        await pilot.press("n")
        await arrives(pilot, JobsScreen)
        await pilot.press("enter")
        await arrives(pilot, TranscriptScreen)
        await shows(pilot, lambda: "2 segments" in text(pilot))
        assert_harmless(pilot)
        await pilot.press("e")
        await arrives(pilot, ExportScreen)
        assert_harmless(pilot)
        await pilot.press("escape")
        await arrives(pilot, TranscriptScreen)
        fake.change(job.id, state=JobState.FAILED, error=JobError("x", name))
        await shows(pilot, lambda: "failed" in text(pilot))
        assert_harmless(pilot)
        fake.failing = [IllegalMove(name)]
        await pilot.press("r")
        await shows(pilot, lambda: len(pilot.app._notifications))
        await pilot.pause()
        assert_harmless(pilot)
        assert pilot.app.is_running


async def test_file_names_in_the_picker_are_harmless(
    fake: FakeServer, settings: TuiSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    for name in HOSTILE_NAMES:
        (folder / name.replace("/", "_")).write_bytes(b"x")
    Path(bytes(folder) + b"/\xff\xfe.wav".replace(b"/", b"") if False else folder / "ok.wav").write_bytes(
        b"x"
    )
    monkeypatch.chdir(folder)
    async with signed_in(settings, fake.grant()) as pilot:
        await pilot.press("u")
        screen = await arrives(pilot, UploadScreen)
        await shows(pilot, lambda: "ok.wav" in text(pilot))
        tree = screen.query_one(FileTree)
        for path in folder.iterdir():
            tree.toggle(path)
        await shows(pilot, lambda: "chosen" in text(pilot))
        assert_harmless(pilot)
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: len(fake.jobs) == len(HOSTILE_NAMES) + 1)
        await shows(pilot, lambda: table(pilot).row_count == len(HOSTILE_NAMES) + 1)
        assert_harmless(pilot)
