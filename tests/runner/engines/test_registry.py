"""How an engine comes from the settings, and what is said when it cannot."""

import sys

import ctranslate2
import pytest

from projectw_runner.doctor import _device
from projectw_runner.engines.registry import ENGINES, EXTRAS, PRECISIONS, create
from projectw_runner.program import make_engine
from projectw_runner.settings import RunnerSettings
from projectw_shared.config import ConfigError


def test_the_settings_reach_the_engine() -> None:
    engine = make_engine(RunnerSettings(engine="faster-whisper", device="cpu", precision="float32"))
    assert (engine.name, engine.device) == ("faster-whisper", "cpu (float32)")
    assert make_engine(RunnerSettings(engine="faster-whisper", device="cpu")).device == "cpu (int8)"


def test_every_engine_has_an_extra_and_every_precision_is_known() -> None:
    assert set(EXTRAS) == set(ENGINES)
    for precision in PRECISIONS:
        assert create("fake", precision=precision).name == "fake"
    with pytest.raises(ValueError, match="the precisions are auto, float32"):
        create("fake", precision="float8")


def test_a_precision_that_the_machine_has_not_is_a_mistake_in_that_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *_: {"float32", "int8"})
    with pytest.raises(ConfigError) as refusal:
        make_engine(RunnerSettings(engine="faster-whisper", device="cpu", precision="float16"))
    (mistake,) = refusal.value.mistakes
    assert "runner.precision" in str(mistake)
    assert "the CPU cannot compute with float16" in str(mistake)


def test_an_engine_whose_extra_is_missing_names_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("projectw_runner.engines.faster_whisper"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    settings = RunnerSettings(engine="faster-whisper", device="cpu")
    with pytest.raises(ConfigError) as refusal:
        make_engine(settings)
    (mistake,) = refusal.value.mistakes
    assert "runner.engine" in str(mistake)
    assert "pip install 'project-w[faster-whisper]'" in str(mistake)
    (finding,) = _device(settings)
    assert finding.status == "fail"
    assert "project-w[faster-whisper]" in finding.message
