"""File names are data: a base name, without control characters, short enough to be stored."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectw_server.uploads.file_names import file_name_of


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("talk.mp3", "talk.mp3"),
        ("/home/me/talk.mp3", "talk.mp3"),
        (r"C:\Users\me\talk.mp3", "talk.mp3"),
        ("../../etc/passwd", "passwd"),
        ("a\x1b[31m\r\nb\u2028.wav", "a[31mb.wav"),
        ("Interviu\u0308.wav", "Interviü.wav"),
        ("lone \ud800 surrogate.wav", "lone  surrogate.wav"),
        ("  spaced.wav ", "spaced.wav"),
        (".hidden", ".hidden"),
        ("[/nope] $(rm).wav", "[/nope] $(rm).wav".rpartition("/")[2]),
        ("", "recording"),
        (None, "recording"),
        ("..", "recording"),
        ("folder/", "recording"),
        ("\x00\x07", "recording"),
    ],
)
def test_the_base_name_is_kept_and_nothing_that_acts(raw: str | None, name: str) -> None:
    assert file_name_of(raw) == name


def test_a_long_name_is_cut_before_its_extension() -> None:
    name = file_name_of("ü" * 300 + ".opus")
    assert name.endswith("ü.opus")
    assert 253 <= len(name.encode()) <= 255
    assert file_name_of("x" * 300 + "." + "y" * 100) == "x" * 255


@given(st.text())
def test_every_name_is_storable_and_stays_what_it_is(raw: str) -> None:
    name = file_name_of(raw)
    assert 0 < len(name.encode()) <= 255
    assert "/" not in name and "\\" not in name
    assert not any(unicodedata.category(each) == "Cc" for each in name)
    assert file_name_of(name) == name
