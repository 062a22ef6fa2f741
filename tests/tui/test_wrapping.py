from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from projectw_shared.transcripts import Segment
from projectw_tui.wrapping import TranscriptLines, wrap


def segments(*texts: str) -> list[Segment]:
    return [Segment(id=n, start=float(n), end=n + 1.0, text=text) for n, text in enumerate(texts)]


def test_lines_break_at_spaces() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]


def test_a_word_longer_than_a_line_is_cut() -> None:
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_wide_characters_count_twice() -> None:
    assert wrap("日本語のテキスト", 6) == ["日本語", "のテキ", "スト"]


@given(st.text(max_size=80), st.integers(2, 40))
def test_no_line_is_wider_than_the_screen_and_no_word_is_lost(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split(" ")) == "".join(text.split(" "))


@given(st.lists(st.text(max_size=60), max_size=20), st.integers(2, 30))
def test_every_line_can_be_found_by_its_number(texts: list[str], width: int) -> None:
    lines = TranscriptLines()
    lines.resize(width)
    lines.append(segments(*texts))
    places = [lines.locate(number) for number in range(lines.count)]
    assert places == sorted(places)
    assert [index for index, part in places if part == 0] == list(range(len(texts)))
    for index, part in places:
        assert cell_len(lines.text_at(index, part)) <= width


def test_a_new_width_gives_the_same_lines_as_if_it_had_always_been_so() -> None:
    texts = ["and so my fellow Americans", "ask not what your country can do for you"]
    resized, fresh = TranscriptLines(), TranscriptLines()
    resized.append(segments(*texts))
    resized.resize(12)
    fresh.resize(12)
    fresh.append(segments(*texts))
    assert resized.count == fresh.count > 2
    assert [resized.locate(n) for n in range(resized.count)] == [fresh.locate(n) for n in range(fresh.count)]


def test_control_characters_are_gone_from_the_lines() -> None:
    lines = TranscriptLines()
    lines.append(segments("a\x1b[2Jb", "c\u202ed", "e\nf"))
    assert all(text.isprintable() for text in lines.texts)
