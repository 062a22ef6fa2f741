"""What the terminal's tests share: a fake server, and settings that touch nothing of the developer's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from projectw_tui.settings import TuiSettings

from .fake_server import FakeServer, running


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's configuration, session and terminal from each test."""
    for name in ("PROJECTW_TOKEN", "PROJECTW_SERVER", "PROJECTW_CONFIG", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with running() as server:
        yield server


@pytest.fixture
def settings(fake: FakeServer, tmp_path: Path) -> TuiSettings:
    return TuiSettings(server_url=fake.url, state_dir=tmp_path / "state", use_keyring=False)


@pytest.fixture
async def server(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    """The fake server, known to commands through their environment, with a token that counts."""
    monkeypatch.setenv("PROJECTW_SERVER", fake.url)
    monkeypatch.setenv("PROJECTW_TOKEN", fake.grant())
    yield fake


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"RIFF" * 1000)
    return path


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)
