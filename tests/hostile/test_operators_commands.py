"""Every command of the server and of the runner on a terminal, with evil texts in names, arguments and files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest

from projectw_runner.cli import commands as runner_commands
from projectw_server.cli import group as server_commands
from tests.hostile.programs import Step, assert_all_harmless, filled, leaves, run_all
from tests.hostile.pseudo_terminal import ROOT
from tests.hostile.strings import EVIL, NOT_IN_JSON, chosen
from tests.hostile.test_commands import file_name

pytestmark = pytest.mark.timeout(300)

TEXTS: Final = chosen({**EVIL, **NOT_IN_JSON}, 0)

SERVER: Final[dict[str, list[list[str]]]] = {
    "serve": [
        ["--config", "{broken}", "serve"],
        ["serve", "{text}"],
    ],
    "migrate": [["migrate"], ["--config", "{broken}", "migrate"]],
    "migrate-database": [
        ["migrate-database", "{text}"],
        ["migrate-database", "postgres://a:b@127.0.0.1:1/{name}"],
    ],
    "user add": [["user", "add", "{text}", "--password-stdin"]],
    "user code": [["user", "code", "{text}"]],
    "user list": [["user", "list"], ["user", "list", "--json"], ["user", "list", "{text}"]],
    "runner add": [["runner", "add", "{text}"]],
    "runner list": [["runner", "list"], ["runner", "list", "--json"]],
    "runner remove": [["runner", "remove", "{text}"]],
    "config check": [["config", "check"], ["--config", "{broken}", "config", "check"]],
    "config schema": [["config", "schema"]],
    "audit verify": [["audit", "verify"], ["audit", "verify", "--head", "{text}"]],
    "audit export": [["audit", "export"]],
    "keys rotate": [["keys", "rotate"]],
    "keys list": [["keys", "list"]],
    "doctor": [["doctor"], ["doctor", "--json"]],
}
"""Each command of the server, with the arguments to try; one without ``{…}`` is run once, on a full database."""

RUNNER: Final[dict[str, list[list[str]]]] = {
    "run": [
        ["--config", "{broken}", "run"],
        ["run", "--engine", "{text}"],
        ["run", "--server-url", "{text}"],
    ],
    "doctor": [["--config", "{broken}", "doctor"]],
    "models list": [["models", "--models-dir", "{folder}", "list"]],
    "models pull": [["models", "--models-dir", "{folder}", "pull", "{text}"]],
    "models verify": [["models", "--models-dir", "{folder}", "verify"]],
    "config check": [["config", "check"], ["--config", "{broken}", "config", "check"]],
}


@pytest.mark.parametrize(("group", "known"), [(server_commands, SERVER), (runner_commands, RUNNER)])
def test_every_command_is_tried(group: click.Group, known: dict[str, list[list[str]]]) -> None:
    assert set(leaves(group)) == set(known), "add the new command to SERVER or RUNNER"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's home whose database is full of evil names, and files that are called so."""
    folder = tmp_path_factory.mktemp("operators")
    (folder / "config.yaml").write_text(
        json.dumps(
            {
                "server": {"data_dir": str(folder / "data"), "port": 0},
                "runner": {"engine": "fake", "token": "pwr_x", "work_dir": str(folder / "work")},
            }
        )
    )
    words = [sys.executable, "-m", "tests.hostile.evil_database", folder / "config.yaml"]
    subprocess.run(words, check=True, cwd=ROOT)
    return folder


def values(folder: Path, number: int, text: str) -> dict[str, str]:
    """Make the files that the arguments name, and return what stands for what."""
    own = folder / str(number)
    called = file_name(text.replace("\ud83d\udc80", ""))[:60]
    models = own / called
    if not own.exists():
        models.mkdir(parents=True)
        (models / "tiny.pt").write_bytes(b"no weights")
        wrong = text.encode(errors="replace").decode()
        sections = {
            wrong: wrong,
            "host": wrong,
            "log_level": wrong,
            "port": wrong,
            "server_url": wrong,
            "engine": wrong,
        }
        broken = json.dumps({"server": sections, "runner": {**sections, "name": wrong}, wrong: wrong})
        (models / "config.yaml").write_text(broken)
    return {"text": text, "name": called, "folder": str(models), "broken": str(models / "config.yaml")}


async def tried(main: str, imports: tuple[str, ...], variants: list[list[str]], folder: Path) -> None:
    steps = []
    for number, text in enumerate(TEXTS.values()):
        for variant in variants:
            if not any("{" in word for word in variant) and number:
                continue
            words = filled(variant, values(folder, number, text))
            if "--config" not in words:
                words = ["--config", str(folder / "config.yaml"), *words]
            stdin = "a long enough password\n" if "--password-stdin" in words else ""
            steps.append(Step(" ".join(variant), words, stdin))
    results = await run_all(main, imports, steps, folder, HOME=str(folder), PROJECTW_CONFIG="")
    assert_all_harmless(results)


@pytest.mark.parametrize("command", SERVER)
async def test_a_command_of_the_server_is_harmless(command: str, folder: Path) -> None:
    await tried(
        "projectw_server.__main__:main",
        ("projectw_server.cli", "projectw_server.app"),
        SERVER[command],
        folder,
    )


@pytest.mark.parametrize("command", RUNNER)
async def test_a_command_of_the_runner_is_harmless(command: str, folder: Path) -> None:
    modules = ("projectw_runner.cli", "projectw_runner.checkpoints", "projectw_runner.program")
    await tried("projectw_runner.__main__:main", modules, RUNNER[command], folder)
