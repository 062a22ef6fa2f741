"""How a window's tokens become segments, and how much of the window they leave over."""

from projectw_runner.engines.whisper.splitting import Split, split

BEGIN = 50_363
END = 50_256


def cut(*tokens: int, frames: int = 3000) -> Split:
    return split(list(tokens), timestamp_begin=BEGIN, end_of_text=END, frames=frames)


def test_an_unfinished_segment_is_left_to_the_next_window() -> None:
    result = cut(BEGIN, 10, 11, BEGIN + 200, BEGIN + 200, 12, BEGIN + 400, BEGIN + 400, 13)
    assert [(draft.start, draft.end, draft.tokens) for draft in result.drafts] == [
        (0.0, 4.0, [10, 11]),
        (4.0, 8.0, [12]),
    ]
    assert result.advance == 800


def test_a_closed_last_segment_ends_the_window() -> None:
    result = cut(BEGIN, 10, BEGIN + 200, BEGIN + 250, 12, BEGIN + 400)
    assert [(draft.start, draft.end) for draft in result.drafts] == [(0.0, 4.0), (5.0, 8.0)]
    assert result.advance == 3000
    assert result.ends_in_silence


def test_a_single_segment_goes_to_its_time_stamp_or_to_the_windows_end() -> None:
    assert cut(BEGIN, 10, BEGIN + 100).drafts[0].end == 2.0
    assert cut(BEGIN, 10, 11, frames=700).drafts[0].end == 7.0
    assert cut(BEGIN, 10, 11, frames=700).advance == 700


def test_a_window_always_moves_on() -> None:
    for tokens in ((), (BEGIN, BEGIN), (BEGIN, 10, BEGIN, BEGIN), (10, 11), (BEGIN,)):
        assert cut(*tokens, frames=500).advance > 0
    assert cut(BEGIN, 10, BEGIN + 1500, BEGIN + 1500, frames=500).advance == 500
