"""config.example.yaml documents every setting, no other, each with its true default and a comment."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from projectw_runner.settings import RunnerSettings
from projectw_server.settings import ServerSettings
from projectw_shared.config import SECTIONS, load
from projectw_tui.settings import TuiSettings

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
KINDS: dict[str, type[Any]] = {"server": ServerSettings, "runner": RunnerSettings, "tui": TuiSettings}

SETTING = re.compile(r"^(?P<indent> +)#(?P<name>\w+):", re.MULTILINE)
"""A setting stands behind a '#' without a blank, a comment behind one with a blank."""


@pytest.fixture(scope="module")
def text() -> str:
    return EXAMPLE.read_text("utf-8")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_file_as_it_is_gives_the_defaults(section: str) -> None:
    assert load(section, KINDS[section], config=EXAMPLE, environ={}).settings == KINDS[section]()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_stands_there_once_with_its_true_default_and_no_other(section: str, text: str) -> None:
    documented = yaml.safe_load(SETTING.sub(r"\g<indent>\g<name>:", text))[section]
    assert documented == msgspec.to_builtins(KINDS[section](), enc_hook=str)
    names = [match["name"] for match in SETTING.finditer(text[text.index(f"\n{section}:") :])]
    assert names[: len(documented)] == list(documented)


def test_what_is_commented_out_can_be_used_as_it_stands(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(SETTING.sub(r"\g<indent>\g<name>:", text), "utf-8")
    for section, kind in KINDS.items():
        assert load(section, kind, config=file, environ={}).settings == kind()


def test_every_setting_has_a_comment_above_it(text: str) -> None:
    lines = text.splitlines()
    bare = [line for before, line in pairwise(lines) if SETTING.match(line) and "  # " not in before]
    assert bare == []
