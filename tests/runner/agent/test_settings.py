"""The runner's settings: defaults that work on one machine, and mistakes that are refused."""

import ast
import inspect
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projectw_runner import settings as module
from projectw_runner.program import media_limits
from projectw_runner.settings import RunnerSettings
from projectw_shared.config import ConfigError


def test_the_defaults_are_those_of_a_server_on_this_machine() -> None:
    settings = RunnerSettings()
    assert settings.server_url == "http://127.0.0.1:8000"
    assert settings.engine == "whisper"
    assert settings.device == "auto"
    assert settings.label
    assert media_limits(settings).max_seconds == 24 * 3600


def test_limits_reach_the_decoder() -> None:
    limits = media_limits(
        RunnerSettings(max_audio_hours=2, max_decode_memory_mb=300, max_decode_cpu_seconds=9)
    )
    assert (limits.max_seconds, limits.max_memory_bytes, limits.max_cpu_seconds) == (7200, 300 << 20, 9)


def test_the_token_comes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("pwr_secret\n")
    path.chmod(0o600)
    assert RunnerSettings(token_file=path).read_token() == "pwr_secret"
    assert RunnerSettings().read_token() is None
    with pytest.raises(ConfigError, match="keep one of them"):
        RunnerSettings(token="pwr_other", token_file=path).read_token()


@pytest.mark.parametrize("url", ["http://example.org", "ftp://example.org", "example.org"])
def test_an_address_that_is_unsafe_or_none_is_refused(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"server_url": url}, RunnerSettings)


@pytest.mark.parametrize("engine", ["whisper", "faster-whisper"])
def test_faults_on_purpose_are_refused_where_real_work_is_done(engine: str) -> None:
    faults = [{"fault": "crash", "chance": 0.5}]
    assert msgspec.convert({"engine": "fake", "fake_faults": faults}, RunnerSettings).fake_faults
    with pytest.raises(msgspec.ValidationError, match="for the engine fake alone"):
        msgspec.convert({"engine": engine, "fake_faults": faults}, RunnerSettings)


@pytest.mark.parametrize(
    "fault", [{"fault": "explode"}, {"fault": "crash", "chance": 2}, {"fault": "crash", "on": 1}]
)
def test_a_fault_that_is_none_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="fake_faults"):
        msgspec.convert({"engine": "fake", "fake_faults": [fault]}, RunnerSettings)


def test_every_setting_is_explained() -> None:
    body = ast.parse(inspect.getsource(module))
    kind = next(node for node in body.body if isinstance(node, ast.ClassDef))
    for place, node in enumerate(kind.body):
        if isinstance(node, ast.AnnAssign):
            following = kind.body[place + 1]
            assert isinstance(following, ast.Expr), ast.unparse(node)
            assert isinstance(following.value, ast.Constant), ast.unparse(node)
