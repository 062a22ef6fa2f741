"""Foreign text made harmless."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectw_shared.text import ELLIPSIS, MOST_MARKS, STAND_IN, columns, fit, safe, safe_json, shorten

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    "character",
    [
        *map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)),
        *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
        *"\u00ad\u200b\u200c\u200d\u2060\ufeff\u2028\u2029", "\ud800", "\udfff", "\U000e0041",
        "\ufdd0", "\uffff", "\U0001fffe", "\U0010ffff", "\ufe00", "\ufe0f", "\U0001d173",
    ],
)  # fmt: skip
def test_what_a_terminal_acts_on_or_a_reader_cannot_see_becomes_a_stand_in(character: str) -> None:
    assert safe(f"a{character}b") == ("a b" if character == "\t" else f"a{STAND_IN}b")


def test_ordinary_text_of_every_script_stays_as_it_is() -> None:
    text = "Größe, naïve, 日本語, العربية, हिन्दी, e\u0301, 👍🏽, [bold]not markup[/bold] \u00a0"
    assert safe(text) == text


def test_joiners_stay_where_a_script_spells_with_them_and_nowhere_else() -> None:
    spelt = "می\u200cخواهم, क\u094d\u200dष, ශ\u0dca\u200dරී"
    assert safe(spelt) == spelt
    assert safe("a\u200cb") == safe("a\u200db") == f"a{STAND_IN}b"
    assert safe("م\u200c\u200cم") == f"م{STAND_IN * 2}م"
    assert safe("م\u200c") == f"م{STAND_IN}"
    assert safe("👩\u200d💻") == f"👩{STAND_IN}💻"


def test_an_escape_sequence_loses_its_escape() -> None:
    assert safe("\x1b]52;c;ZXZpbA==\x07.wav") == f"{STAND_IN}]52;c;ZXZpbA=={STAND_IN}.wav"


def test_newlines_stay_only_when_asked_for_and_carriage_returns_become_newlines() -> None:
    assert safe("a\nb\r\nc\rd\x1b", keep_newlines=True) == f"a\nb\nc\nd{STAND_IN}"
    assert "\n" not in safe("a\nb")


@given(ANY_TEXT)
def test_nothing_that_controls_or_hides_is_left_whatever_comes_in(text: str) -> None:
    result = safe(text)
    # Cf also holds visible signs (Arabic number marks, Egyptian joiners): the invisible ones are listed above.
    assert not {unicodedata.category(each) for each in result} & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.bidirectional(each) in {"LRO", "RLO", "LRE", "RLE", "PDF"} for each in result)
    assert len(result) <= len(text)
    assert safe(result) == result
    result.encode()


def test_a_letter_keeps_as_many_marks_as_a_language_writes_and_no_flood() -> None:
    tibetan = "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82"
    assert safe(tibetan) == tibetan
    assert len(tibetan) == 1 + MOST_MARKS
    assert safe("x" + "\u0301" * 10_000 + "y") == "x" + "\u0301" * MOST_MARKS + f"{STAND_IN}y"
    # A flood of two kinds of marks is one flood.
    assert len(safe("x" + "\u0301\u20dd" * 5_000)) == 1 + MOST_MARKS + 1


def test_a_selector_of_variants_stands_behind_what_has_them_and_alone() -> None:
    honest = "\u2764\ufe0f, 1\ufe0f\u20e3, \u8fbb\ufe00, \U0001f3f3\ufe0f"
    assert safe(honest) == honest
    assert safe("a\ufe01b\ufe02") == f"a{STAND_IN}b{STAND_IN}"
    assert safe("\u2764\ufe0f\ufe0e\ufe0f") == f"\u2764\ufe0f{STAND_IN * 2}"


@given(st.dictionaries(st.text(), st.text()))
def test_a_harmless_document_says_the_same(document: dict[str, str]) -> None:
    raw = json.dumps(document, ensure_ascii=False, indent=1)
    harmless = safe_json(raw)
    assert json.loads(harmless) == document
    assert all(safe(line) == line or columns(line) < len(line) for line in harmless.split("\n"))


@given(ANY_TEXT, st.integers(-2, 30))
def test_a_fitted_text_takes_no_more_cells_than_there_are(text: str, width: int) -> None:
    result = fit(text, width)
    assert columns(result) <= max(width, 0) or (columns(text) == 0 and result == text)
    if columns(text) <= width:
        assert result == text


def test_wide_characters_take_two_cells() -> None:
    assert columns("日本.wav") == 8
    assert columns("e\u0301") == 1
    assert fit("日本語の長い名前の録音.wav", 12) == f"日本{ELLIPSIS}音.wav"


@given(ANY_TEXT, st.integers(-2, 30))
def test_a_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    result = shorten(text, width)
    assert len(result) <= max(width, 0)
    if len(text) <= width:
        assert result == text
    elif width >= 3:
        head, _, tail = result.partition(ELLIPSIS) if ELLIPSIS not in text else (text[:1], "", text[-1:])
        assert text.startswith(head)
        assert text.endswith(tail)


def test_a_file_name_keeps_its_suffix() -> None:
    assert shorten("interview with the whole family.wav", 16) == f"intervi{ELLIPSIS}mily.wav"
