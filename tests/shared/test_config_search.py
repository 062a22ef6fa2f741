"""Where the configuration file is looked for."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from projectw_shared.config import ConfigError, load

Write = Callable[[str, str], Path]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    port: int = 8080


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    return write_file


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which no file of this machine is found."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def test_without_any_file_every_setting_has_its_default(elsewhere: dict[str, str]) -> None:
    loaded = load("server", Settings, environ=elsewhere)
    assert loaded.settings == Settings()
    assert loaded.path is None


def test_files_are_looked_for_in_order_and_the_first_wins(
    elsewhere: dict[str, str], tmp_path: Path, write: Write
) -> None:
    order = [
        (Path("empty/config.yaml"), {}),
        (Path("xdg/projectw/config.yaml"), {}),
        (Path("home/.config/projectw/config.yaml"), {}),
        (Path("own/projectw/config.yaml"), {"XDG_CONFIG_HOME": str(tmp_path / "own")}),
        (Path("named.yaml"), {"PROJECTW_CONFIG": str(tmp_path / "named.yaml")}),
    ]
    for port, (name, variables) in enumerate(order, start=1):
        write(f"server: {{port: {port}}}", str(name))
        elsewhere |= variables
        loaded = load("server", Settings, environ=elsewhere)
        assert (loaded.settings.port, loaded.path) == (port, tmp_path / name)
    given = write("server: {port: 99}", "given.yaml")
    assert load("server", Settings, config=given, environ=elsewhere).settings.port == 99


def test_a_relative_xdg_folder_is_ignored_as_its_specification_says(
    elsewhere: dict[str, str], write: Write
) -> None:
    write("server: {port: 1}", "empty/projectw/config.yaml")
    assert load("server", Settings, environ=elsewhere | {"XDG_CONFIG_HOME": "."}).path is None


def test_a_file_that_is_named_must_be_there(elsewhere: dict[str, str], tmp_path: Path) -> None:
    missing = tmp_path / "no.yaml"
    with pytest.raises(ConfigError, match="there is no such file"):
        load("server", Settings, config=missing, environ=elsewhere)
    with pytest.raises(ConfigError, match="PROJECTW_CONFIG names it"):
        load("server", Settings, environ=elsewhere | {"PROJECTW_CONFIG": str(missing)})
    with pytest.raises(ConfigError, match="this is a folder"):
        load("server", Settings, config=tmp_path, environ=elsewhere)


def test_a_service_without_a_home_folder_is_none_the_worse(elsewhere: dict[str, str]) -> None:
    del elsewhere["HOME"]
    assert load("server", Settings, environ=elsewhere).path is None
