"""Secrets that stand in files."""

from pathlib import Path

import pytest

from projectw_shared.config import ConfigError, ReadableByOthers, read_secret


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("pwr_abc\n")
    file.chmod(0o600)
    return file


def test_a_secret_comes_from_the_setting_or_from_its_file_without_the_newline(file: Path) -> None:
    assert read_secret("x", None, name="runner.token") == "x"
    assert read_secret(None, file, name="runner.token") == "pwr_abc"
    assert read_secret(None, None, name="runner.token") is None


def test_both_at_once_is_a_mistake(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"runner\.token: is set, and runner\.token_file too") as caught:
        read_secret("x", file, name="runner.token")
    assert "pwr_abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "is no text in UTF-8")]
)
def test_a_file_without_a_usable_secret_is_a_mistake(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_secret(None, file, name="runner.token")
    assert [each.path for each in caught.value.mistakes] == ["runner.token_file"]


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_secret(None, tmp_path / "none", name="runner.token")


def test_a_file_that_everyone_may_read_is_warned_of_and_used(file: Path) -> None:
    file.chmod(0o644)
    with pytest.warns(ReadableByOthers, match="chmod 600"):
        assert read_secret(None, file, name="runner.token") == "pwr_abc"
