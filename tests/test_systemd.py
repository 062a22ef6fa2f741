"""The units in deploy/systemd/ fit our programs, are sound to systemd, and as closed as it can tell."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from projectw_runner.cli import commands
from projectw_runner.settings import RunnerSettings
from projectw_server.cli import group
from projectw_server.exposure import check
from projectw_server.secrets import with_secrets
from projectw_server.serving import GRACE_SECONDS
from projectw_server.settings import ServerSettings
from projectw_shared.config import load

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "deploy" / "systemd"
CONFIG = UNITS / "config.yaml"
COMMANDS = {"projectw-server": group, "projectw-runner": commands}
LIMITS = {"projectw-server": "20", "projectw-runner": "30"}
NAMES = list(COMMANDS)


def values(name: str, key: str) -> list[str]:
    text = (UNITS / f"{name}.service").read_text("utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def only(name: str, key: str) -> str:
    (value,) = values(name, key)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_what_is_started_is_a_command_of_ours_with_the_configuration_that_is_shipped(name: str) -> None:
    program, *words = only(name, "ExecStart").split()
    assert Path(program).name == name
    assert f'{name} = "' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert words[:2] == ["--config", f"/etc/projectw/{CONFIG.name}"]
    (command,) = words[2:]
    assert command in COMMANDS[name].commands


@pytest.mark.parametrize("name", NAMES)
def test_readiness_life_and_end_are_told_by_the_program(name: str) -> None:
    assert only(name, "Type") == "notify"
    assert only(name, "NotifyAccess") == "main"
    assert values(name, "WatchdogSec")
    assert "78" in only(name, "RestartPreventExitStatus").split()
    assert only(name, "LimitCORE") == "0"
    assert only(name, "User") in (UNITS / "projectw.sysusers").read_text("utf-8")


def test_a_stop_is_long_enough_to_drain() -> None:
    from projectw_runner.agent import FAREWELL_GRACE, STEP_GRACE

    assert int(only("projectw-server", "TimeoutStopSec")) > GRACE_SECONDS + 60
    assert int(only("projectw-runner", "TimeoutStopSec")) > STEP_GRACE + 3 * FAREWELL_GRACE


def test_the_configuration_that_is_shipped_reads_its_secrets_from_the_credentials_of_the_units(
    tmp_path: Path,
) -> None:
    for name in NAMES:
        for credential in values(name, "LoadCredential"):
            file = tmp_path / credential.partition(":")[0]
            file.write_text("pwr_" + "s" * 40)
            file.chmod(stat.S_IRUSR)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    server = load("server", ServerSettings, config=CONFIG, environ=environment).settings
    check(server)
    assert with_secrets(server).metrics_token == "pwr_" + "s" * 40
    assert server.home == Path("/var/lib") / only("projectw-server", "StateDirectory")
    runner = load("runner", RunnerSettings, config=CONFIG, environ=environment).settings
    assert runner.read_token() == "pwr_" + "s" * 40
    assert runner.work_path == Path("/var/lib") / only("projectw-runner", "StateDirectory")
    assert runner.models_dir == Path("/var/cache") / only("projectw-runner", "CacheDirectory")


def test_without_credentials_the_secrets_are_looked_for_where_the_units_take_them_from() -> None:
    server = load("server", ServerSettings, config=CONFIG, environ={}).settings
    assert f"metrics_token:{server.metrics_token_file}" == only("projectw-server", "LoadCredential")
    runner = load("runner", RunnerSettings, config=CONFIG, environ={}).settings
    assert f"runner_token:{runner.token_file}" == only("projectw-runner", "LoadCredential")


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed; it comes with systemd")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they would lie in /etc/systemd/system, with programs that are there."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for name in NAMES:
        unit = folder / f"{name}.service"
        there = shutil.which("true") or "/bin/true"
        unit.write_text(unit.read_text("utf-8").replace(f"/opt/projectw/bin/{name}", there), "utf-8")
    return folder


def said(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong(analyze: str, units: Path, name: str) -> None:
    done = said(analyze, "verify", "--man=no", "--recursive-errors=no", units / f"{name}.service")
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("with_gpu", [False, True], ids=["cpu", "gpu"])
@pytest.mark.parametrize("name", NAMES)
def test_they_are_as_closed_as_promised(analyze: str, units: Path, name: str, with_gpu: bool) -> None:
    if not with_gpu:
        shutil.rmtree(units / "projectw-runner.service.d")
    done = said(
        analyze, "security", "--offline=true", f"--threshold={LIMITS[name]}", units / f"{name}.service"
    )
    assert done.returncode == 0, done.stdout[-300:]
    assert "Unknown" not in done.stderr
