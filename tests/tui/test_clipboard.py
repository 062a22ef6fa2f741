import base64

import pytest

from projectw_tui.clipboard import TooLongToCopy, osc52


def test_a_text_is_handed_to_the_terminal() -> None:
    assert osc52("Grüße", {}) == f"\x1b]52;c;{base64.b64encode('Grüße'.encode()).decode()}\x07"


def test_inside_tmux_it_is_also_wrapped_to_pass_through() -> None:
    bare = osc52("hello", {})
    assert osc52("hello", {"TMUX": "/tmp/tmux,1,0"}) == f"{bare}\x1bPtmux;\x1b{bare}\x1b\\"


def test_a_text_that_a_terminal_would_cut_is_refused() -> None:
    with pytest.raises(TooLongToCopy, match="export it instead"):
        osc52("x" * 60_000, {})
