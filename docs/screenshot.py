"""Draw the pictures of the README: the real program, driven against a stand-in for the server.

Usage: ``python docs/screenshot.py [FOLDER]`` writes ``jobs.svg`` and ``transcript.svg``.
"""

import asyncio
import importlib
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from textual.pilot import Pilot

from projectw_shared.messages import Job
from projectw_tui.app import ProjectWApp
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.job_table import JobTable

REPOSITORY = Path(__file__).parent.parent

SPEECH = (
    "So when did you first come to the garden?",
    "That must have been in the spring of eighty-six. My mother had the plot before me, and when her knees "
    "got bad I took over the beans, then the roses, and before I knew it everything was mine.",
    "And the neighbours?",
    "Oh, they were here already. Mister Hansen on the left, who never spoke before noon, and on the right "
    "the two sisters with the bees.",
    "You still have the bees.",
    "Three hives, yes. They are calmer than they look.",
    "What would you tell someone who starts today?",
    "Buy less. Wait longer. And write down what you planted where, because in March you will not remember.",
    "Did you write it down?",
    "Never once.",
)


def load_fake_server() -> ModuleType:
    """Return the tests' stand-in for the server, which is no part of the installed packages."""
    sys.path.insert(0, str(REPOSITORY))
    return importlib.import_module("tests.tui.fake_server")


def save(app: ProjectWApp, target: Path) -> None:
    """Write what the program shows, without the fonts that Textual would load from another host."""
    target.write_text(re.sub(r"@font-face \{.*?\}", "", app.export_screenshot(), flags=re.DOTALL))


async def settle(pilot: Pilot[None], running: Job) -> None:
    """Wait until the running job is listed, so that the picture shows it."""
    async with asyncio.timeout(10):
        while not any(running.id in table.entries for table in pilot.app.screen.query(JobTable)):
            await pilot.pause(0.05)
    await pilot.pause(0.3)


async def draw(folder: Path) -> None:
    """Write the pictures into ``folder``."""
    fake_server = load_fake_server()
    with tempfile.TemporaryDirectory() as state:
        async with fake_server.running() as server:
            jobs = [server.add(**fields) for fields in fake_server.history()]
            running = jobs[1]
            server.say(running.id, *SPEECH)
            settings = TuiSettings(server_url=server.url, state_dir=Path(state), use_keyring=False)
            app = ProjectWApp(settings, token=server.grant())
            async with app.run_test(size=(100, 26)) as pilot:
                await settle(pilot, running)
                await pilot.press("down")
                await pilot.pause(0.2)
                save(app, folder / "jobs.svg")
                await pilot.press("enter")
                await pilot.pause(0.5)
                save(app, folder / "transcript.svg")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs/images"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(target))
