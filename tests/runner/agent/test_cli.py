"""The commands: what they say, where, and with which exit code."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from projectw_runner import cli, doctor, program
from projectw_runner.checkpoints import CheckpointError, CheckpointStore
from projectw_runner.media import Limits, Reading
from projectw_runner.settings import RunnerSettings
from projectw_shared.config import ConfigError

from .fake_server import TOKEN, FakeServer, serving


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.yaml"
    monkeypatch.setenv("PROJECTW_CONFIG", str(path))
    write(path)
    return path


def write(path: Path, **settings: object) -> None:
    defaults = {"engine": "fake", "work_dir": "work", "models_dir": "models"}
    path.write_text(json.dumps({"runner": {**defaults, **settings}}))


def test_without_a_token_nothing_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 78
    assert "projectw-server runner add NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"enigne": "fake"}, "did you mean 'engine'"),
        ({"server_url": "http://example.org"}, "unencrypted"),
        ({"threads": 0}, "above 0"),
        ({"engine": "faek", "token": TOKEN}, "there is no engine 'faek'"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_starts(
    config: Path, setting: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, **setting)
    assert cli.main(["run"]) == 78
    assert words in capsys.readouterr().err


def test_an_address_that_is_none_is_blamed_by_its_name(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, token=TOKEN)
    assert cli.main(["run", "--server-url", "nonsense"]) == 78
    said = capsys.readouterr().err
    assert "  runner.server_url: 'nonsense' is no server address" in said
    assert "line" not in said, "it came from the command line"


@pytest.mark.parametrize("content", [f"Keep this: {TOKEN}", f"{TOKEN}\n{TOKEN}", "pwr_ä"])
def test_a_file_that_holds_more_than_a_token_is_said_before_anything_starts(
    config: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(content)
    (tmp_path / "token").chmod(0o600)
    write(config, token_file="token")
    for command in (["run"], ["doctor"], ["config", "check"]):
        assert cli.main(command) == 78
        said = capsys.readouterr().err
        assert "runner.token_file: holds more than a token" in said
        assert TOKEN not in said


def test_options_win_over_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, token=TOKEN)
    assert cli.main(["run", "--engine", "other"]) == 78
    assert "'other'" in capsys.readouterr().err


def test_the_engine_may_be_named_before_the_command_too(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, token=TOKEN)
    assert cli.main(["--engine", "other", "run"]) == 78
    assert "'other'" in capsys.readouterr().err
    assert cli.main(["--engine", "other", "doctor"]) == 2
    assert "for the command run" in capsys.readouterr().err


def test_config_check_says_which_file_is_right(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "check"]) == 0
    assert capsys.readouterr().out == f"{config}: no mistakes\n"


def test_config_check_reads_the_secret_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, token_file="missing")
    assert cli.main(["config", "check"]) == 78
    assert "runner.token_file" in capsys.readouterr().err


def test_a_token_that_others_can_read_is_a_warning(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o644)
    write(config, token_file="token")
    assert cli.main(["config", "check"]) == 0
    said = capsys.readouterr().err
    assert "chmod 600" in said
    assert TOKEN not in said


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["frobnicate"]) == 2
    assert "frobnicate" in capsys.readouterr().err


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointStore, "verify", interrupted)
    assert cli.main(["models", "verify"]) == 130


def test_models_are_listed_with_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base.pt").write_bytes(bytes(2_000_000))
    assert cli.main(["models", "list"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["base"] == f"2 MB  {tmp_path / 'models' / 'base.pt'}"
    assert {"tiny.en", "large-v3", "turbo"} <= lines.keys()


def test_a_damaged_model_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base.pt").write_bytes(b"damaged")
    assert cli.main(["models", "verify"]) == 1
    assert "DAMAGED" in capsys.readouterr().out


def test_a_pulled_model_is_told_on_stdout_and_no_bar_is_drawn_off_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def pull(_store: object, name: str, progress: cli.Meter) -> Path:
        progress(1, 2)
        return tmp_path / f"{name}.pt"

    monkeypatch.setattr(CheckpointStore, "pull", pull)
    assert cli.main(["models", "pull", "base", "tiny"]) == 0
    heard = capsys.readouterr()
    assert heard.out.split() == [str(tmp_path / "base.pt"), str(tmp_path / "tiny.pt")]
    assert heard.err == ""


def test_a_model_that_cannot_be_had_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def pull(*_: object) -> Path:
        raise CheckpointError("It cannot be had \x1b[31m.")

    monkeypatch.setattr(CheckpointStore, "pull", pull)
    assert cli.main(["models", "pull", "base"]) == 1
    said = capsys.readouterr().err
    assert "It cannot be had" in said
    assert "\x1b" not in said


def test_a_missing_package_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'whisper'", name="whisper")

    monkeypatch.setattr(CheckpointStore, "verify", missing)
    assert cli.main(["models", "verify"]) == 1
    assert "pip install 'project-w[runner]'" in capsys.readouterr().err


def test_the_agent_and_the_commands_are_there_without_torch() -> None:
    code = (
        "import sys; import projectw_runner.__main__, projectw_runner.cli, projectw_runner.program, "
        "projectw_runner.doctor; print([m for m in ('torch', 'whisper', 'numba', 'textual', 'quart') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


Examine = Callable[[], Awaitable[tuple[int, dict[str, dict[str, str]]]]]


@pytest.fixture
def examine() -> Examine:
    """Run ``doctor --json`` in a process of its own, since a server runs in this one."""

    async def run() -> tuple[int, dict[str, dict[str, str]]]:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "projectw_runner", "doctor", "--json"), stdout=subprocess.PIPE
        )
        out, _ = await program.communicate()
        assert program.returncode is not None
        return program.returncode, {each["check"]: each for each in json.loads(out)}

    return run


async def test_doctor_finds_nothing_wrong_with_a_healthy_runner(
    config: Path, server: FakeServer, examine: Examine
) -> None:
    write(config, server_url=server.url, token=TOKEN)
    code, found = await examine()
    assert code == 0
    assert {
        found[check]["status"] for check in ("device", "weights", "ffmpeg", "server", "clock", "token")
    } == {"ok"}
    assert found["work_dir"]["status"] in ("ok", "warn")
    assert "Fake 1.2.3" in found["server"]["message"]


async def test_doctor_knows_a_refused_token(config: Path, server: FakeServer, examine: Examine) -> None:
    write(config, server_url=server.url, token="pwr_wrong")
    code, found = await examine()
    assert code == 77
    assert found["token"]["status"] == "fail"
    assert "projectw-server runner add" in found["token"]["remedy"]


async def test_doctor_knows_a_server_that_is_not_there(config: Path, examine: Examine) -> None:
    async with serving(FakeServer()) as gone:
        url = gone.url
    write(config, server_url=url, token=TOKEN)
    code, found = await examine()
    assert code == 69
    assert found["server"]["status"] == "fail"


async def test_doctor_finds_damaged_weights(
    config: Path, tmp_path: Path, server: FakeServer, examine: Examine
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.pt").write_bytes(b"damaged")
    write(config, server_url=server.url, token=TOKEN, engine="whisper")
    code, found = await examine()
    assert code == 1
    assert found["weights"]["remedy"] == "projectw-runner models pull tiny"
    assert found["torch"]["status"] in ("ok", "warn")


async def test_doctor_knows_what_faster_whisper_computes_with(
    config: Path, tmp_path: Path, server: FakeServer, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # whisper's own downloads are found too
    write(config, server_url=server.url, token=TOKEN, engine="faster-whisper")
    code, found = await examine()
    assert code == 1
    assert "CTranslate2" in found["ctranslate2"]["message"]
    assert found["device"]["status"] == "ok"
    assert found["weights"]["remedy"] == "projectw-runner models pull base"


async def test_doctor_finds_a_work_dir_that_cannot_be_used(
    config: Path, tmp_path: Path, server: FakeServer, examine: Examine
) -> None:
    (tmp_path / "work").write_text("a file where the folder should be")
    write(config, server_url=server.url, token=TOKEN)
    code, found = await examine()
    assert code == 1
    assert found["work_dir"]["status"] == "fail"


async def test_doctor_says_which_parts_of_the_confinement_are_active(
    config: Path, server: FakeServer, examine: Examine
) -> None:
    write(config, server_url=server.url, token=TOKEN)
    _, found = await examine()
    for word in ("files:", "network:", "user:", "limits:"):
        assert word in found["confinement"]["message"]
    write(config, server_url=server.url, token=TOKEN, confinement="limits")
    code, found = await examine()
    assert (code, found["confinement"]["status"]) == (0, "warn")
    assert "the setting confinement" in found["confinement"]["message"]
    assert "auto" in found["confinement"]["remedy"]


@pytest.mark.parametrize("wanted", ["auto", "require"])
def test_a_runner_that_must_confine_and_cannot_does_not_start(
    wanted: Literal["auto", "require"], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Limits(Reading.DESCRIPTOR, ("anything that would help",))
    monkeypatch.setattr("projectw_runner.media.trial._best", lambda _trial, _reading: plain)
    settings = RunnerSettings(confinement=wanted)
    if wanted == "auto":
        assert program._opener(settings)
        (_, finding) = doctor._decoder(settings)
        assert finding.status == "warn"
        return
    with pytest.raises(ConfigError, match="anything that would help") as refusal:
        program._opener(settings)
    assert refusal.value.mistakes[0].path == "runner.confinement"
    (_, finding) = doctor._decoder(settings)
    assert (finding.status, finding.exit) == ("fail", 78)
    assert "bubblewrap" in finding.remedy
