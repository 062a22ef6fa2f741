"""Every screen on a terminal, with evil texts in all that a stranger controls."""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.screen import Screen

from projectw_shared.jobs import JobState
from projectw_tui import screens
from tests.hostile.hostile_server import HostileServer
from tests.hostile.pseudo_terminal import on_a_terminal
from tests.hostile.sequences import Written, assert_harmless, take_apart
from tests.hostile.strings import EVERY, EVIL, chosen
from tests.hostile.test_commands import file_name
from tests.hostile.tour import VISITS

pytestmark = pytest.mark.timeout(3000 if EVERY else 300)

BENIGN = {"one": "a name.wav", "two": "another name.wav", "three": "[x] (3) \N{SNOWMAN}.wav"}

CAUSED = {
    "LoginScreen": {("POST", "/api/auth/logout"), ("POST", "/api/auth/login")},
    "SignUpScreen": {("POST", "/api/auth/logout")},
    "ResetScreen": {("POST", "/api/auth/logout")},
    "SecretScreen": {("POST", "/api/tokens")},
}
"""What is asked of the server on the way to a screen, beside reading."""


def test_every_screen_is_visited() -> None:
    found = set()
    for module in pkgutil.iter_modules(screens.__path__, f"{screens.__name__}."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Screen) and kind.__module__ == module.name and not kind.__subclasses__():
                found.add(name)
    assert found == set(VISITS), "add the new screen to VISITS"


@pytest.fixture
async def hostile() -> AsyncIterator[HostileServer]:
    server = HostileServer()
    await server.start()
    yield server
    await server.stop()


async def tour(screen: str, server: HostileServer, texts: dict[str, str], folder: Path) -> Written:
    """Visit ``screen`` once for each of ``texts`` and return what was written to the terminal."""
    server.fill(texts, JobState.SUCCEEDED)
    server.refuses = False
    files = folder / "files"
    files.mkdir(parents=True)
    for text in EVIL.values():
        (files / file_name(text)).write_bytes(b"RIFF")
    report = folder / "report.json"
    words = [sys.executable, "-m", "tests.hostile.tour", screen, report, str(len(texts))]
    async with on_a_terminal(
        words, cwd=files, HOME=str(folder), PROJECTW_SERVER=server.url, PROJECTW_TOKEN=server.grant()
    ) as terminal:
        code = await terminal.end(within=2500 if EVERY else 250)
    assert report.exists(), bytes(terminal.output)[-3000:].decode(errors="replace")
    found = json.loads(report.read_text())
    assert found["is_whole"], (found["screen"], found["error"])
    assert code == 0
    return take_apart(bytes(terminal.output))


FOREIGN = ("JobsScreen", "TranscriptScreen", "ExportScreen", "ConfirmScreen", "AccountScreen", "AdminScreen")
"""Screens that are all about what others have written; the rest is visited where every text is met."""


@pytest.mark.parametrize("screen", VISITS if EVERY else FOREIGN)
async def test_a_screen_is_harmless_whatever_it_is_told(
    screen: str, hostile: HostileServer, tmp_path: Path
) -> None:
    ordinary = await tour(screen, hostile, BENIGN, tmp_path / "benign")
    hostile.requests.clear()
    texts = chosen(EVIL, list(VISITS).index(screen))
    written = await tour(screen, hostile, texts, tmp_path / "evil")
    # Drawing more than a screenful needs no other control functions than drawing a little.
    assert_harmless(written, ordinary.kinds)
    assert "EVIL" in written.text or screen == "HelpScreen"
    acted = {(method, path) for method, path in hostile.requests if method != "GET"}
    assert acted <= CAUSED.get(screen, set())
    foreign = {
        control for text in EVIL.values() for control in take_apart(text.encode()).raw if len(control) > 1
    }
    assert not foreign & set(written.raw) - set(ordinary.raw), (
        "an evil text's own control function has come through"
    )
