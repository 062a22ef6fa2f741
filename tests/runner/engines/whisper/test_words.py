"""Words are placed where the reference places them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from whisper import timing
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.hearing import TRIMMED, WHOLE, spectrograms
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.splitting import Draft, Placed
from projectw_runner.engines.whisper.windows import Window
from projectw_runner.engines.whisper.words import _with_punctuation, align, place
from tests.runner.conftest import Spoken

CPU = torch.device("cpu")

# From the decoder's attention


@pytest.fixture(scope="module")
def texts(english: Tokenizer, librivox: list[Spoken]) -> list[list[int]]:
    return [english.encode(f" {librivox[n].text}") for n in (0, 1)]


def placed(network: Network, tokenizer: Tokenizer, states: Tensor, texts: Any, windows: Any) -> Any:
    frames = [window.frames for window in windows]
    return align(network.decoder, tokenizer, network.alignment_heads, states, texts, frames)


@pytest.mark.model
@pytest.mark.filterwarnings("ignore")  # numba's, when it finds nothing to run in parallel
def test_words_are_where_the_reference_finds_them(
    reference: Whisper, network: Network, english: Tokenizer, windows: list[Window], texts: list[list[int]]
) -> None:
    mel = spectrograms(windows[:1], WHOLE, bands=80, device=CPU)
    wanted = timing.find_alignment(reference, english, texts[0], mel[0], windows[0].frames)
    (found,) = placed(network, english, network.encoder(mel), texts[:1], windows[:1])
    assert [word.word for word in found] == [word.word for word in wanted]
    assert [word.tokens for word in found] == [len(word.tokens) for word in wanted]
    for one, two in zip(found, wanted, strict=True):
        assert one.start == pytest.approx(two.start, abs=0.2)
        assert one.end == pytest.approx(two.end, abs=0.2)
        assert one.probability == pytest.approx(two.probability, abs=0.01)


@pytest.mark.model
def test_windows_side_by_side_are_aligned_as_each_alone(
    network: Network, english: Tokenizer, windows: list[Window], texts: list[list[int]]
) -> None:
    mels = spectrograms(windows[:2], TRIMMED.frames(windows[:2]), bands=80, device=CPU)
    states = network.encoder(mels)
    together = placed(network, english, states, texts, windows[:2])
    for n in range(2):
        (alone,) = placed(network, english, states[n : n + 1], texts[n : n + 1], windows[n : n + 1])
        assert [word.word for word in alone] == [word.word for word in together[n]]
        for one, two in zip(alone, together[n], strict=True):
            assert (one.start, one.end) == pytest.approx((two.start, two.end), abs=0.02)
            assert one.probability == pytest.approx(two.probability, abs=1e-3)
        assert all(word.end <= windows[n].seconds + 0.02 for word in together[n])


@pytest.mark.model
def test_a_window_without_text_has_no_words(
    network: Network, english: Tokenizer, windows: list[Window], texts: list[list[int]]
) -> None:
    states = network.encoder(spectrograms(windows[:2], 800, bands=80, device=CPU))
    first, second = placed(network, english, states, [[], texts[1]], windows[:2])
    assert first == []
    assert len(second) > 5


# From time stamps and pauses

MARKS = [".", ",", "?", ")", '"', ' "', " (", " “", "”", "'", " ¿"]
PIECES = [" a", " bc", "d", " efg", *MARKS]


@st.composite
def writings(draw: st.DrawFn) -> tuple[list[Placed], list[Draft], float]:
    """Words with times, in quarters of a second, and segments whose time stamps agree more or less with them."""
    words: list[Placed] = []
    time = draw(st.integers(0, 20))
    for _ in range(draw(st.integers(1, 16))):
        begin, time = time, time + draw(st.sampled_from([0, 1, 1, 2, 2, 3, 9, 20]))
        text = draw(st.sampled_from(PIECES))
        words.append(Placed(text, begin / 4, time / 4, 0.5, draw(st.integers(1, 3))))
        time += draw(st.sampled_from([0, 0, 0, 1, 8]))
    drafts: list[Draft] = []
    rest = list(words)
    while rest:
        part = rest[: draw(st.integers(1, 8))]
        del rest[: len(part)]
        begin, end = (draw(st.integers(-8, 8)) / 4 for _ in range(2))
        tokens = [7] * sum(word.tokens for word in part)
        drafts.append(Draft(max(part[0].start + begin, 0.0), max(part[-1].end + end, 0.0), tokens))
    return words, drafts, draw(st.integers(0, 12)) / 4


def by_reference(words: list[Placed], drafts: list[Draft], last_speech: float) -> list[dict[str, Any]]:
    """Let ``whisper.timing`` do the same."""
    alignment = [
        timing.WordTiming(word.word, [7] * word.tokens, word.start, word.end, word.probability)
        for word in words
    ]
    segments = [{"seek": 0, "start": each.start, "end": each.end, "tokens": each.tokens} for each in drafts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "find_alignment", lambda *_, **__: alignment)
        timing.add_word_timestamps(
            segments=segments,
            model=None,
            tokenizer=SimpleNamespace(eot=99),
            mel=None,
            num_frames=3000,
            last_speech_timestamp=last_speech,
        )
    return segments


@settings(max_examples=300, deadline=None, derandomize=True)
@given(writings())
def test_segments_and_words_are_fitted_as_the_reference_fits_them(
    writing: tuple[list[Placed], list[Draft], float],
) -> None:
    words, drafts, last_speech = writing
    segments = by_reference(words, drafts, last_speech)
    own = [(draft.start, draft.end) for draft in drafts]
    place(drafts, words, last_speech)
    for n, (draft, wanted) in enumerate(zip(drafts, segments, strict=True)):
        if wanted["end"] <= wanted["start"]:
            assert (draft.start, draft.end) == own[n], (
                "the reference loses such a segment, we keep its own times"
            )
            assume(n == len(drafts) - 1)  # what follows is measured from there
            continue
        assert draft.words is not None
        assert [word.word for word in draft.words] == [word["word"] for word in wanted["words"]]
        times = [time for word in draft.words for time in (word.start, word.end)]
        expected = [time for word in wanted["words"] for time in (word["start"], word["end"])]
        assert times == pytest.approx(expected, abs=0.011)
        assert (draft.start, draft.end) == pytest.approx((wanted["start"], wanted["end"]), abs=0.011)


def joined(*words: str) -> list[str]:
    return [word.word for word in _with_punctuation([Placed(word, 0.0, 1.0, 0.9, 1) for word in words])]


def test_marks_belong_to_the_words_beside_them() -> None:
    assert joined(" He", " said", ",", ' "', "Go", ".", '"') == [" He", " said,", ' "Go."']
    assert joined(" (", ' "', "Yes", ")") == [' ( "Yes)']
    assert joined(" so", " “") == [" so", " “"]
    assert joined(".", " a") == [".", " a"]


def test_no_token_is_lost_by_joining() -> None:
    words = [Placed(word, 0.0, 1.0, 0.9, 2) for word in (" (", "a", ")", ".", " b")]
    assert sum(word.tokens for word in _with_punctuation(words)) == 10


def test_a_word_behind_a_pause_is_not_stretched_over_it() -> None:
    words = [Placed(f" {n}", 0.3 * n, 0.3 * n + 0.3, 0.9, 1) for n in range(5)]
    words += [Placed(" late", 1.5, 6.0, 0.9, 1), Placed(" on", 6.0, 6.3, 0.9, 1)]
    first, second = Draft(0.0, 1.5, [1] * 5), Draft(5.4, 6.3, [1] * 2)
    place([first, second], words, -30.0)
    assert second.words is not None
    assert second.words[0].start == pytest.approx(5.4)
    assert second.start == second.words[0].start
    assert np.isclose(second.end, 6.3)


def test_a_draft_without_words_keeps_its_place() -> None:
    draft = Draft(1.0, 2.0, [1])
    place([draft], [], 0.0)
    assert (draft.start, draft.end, draft.words) == (1.0, 2.0, [])
