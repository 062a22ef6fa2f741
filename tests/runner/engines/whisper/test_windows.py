"""Where windows lie, with an ear that hears loudness: all speech is in one, none lies over another."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from projectw_runner.engines.whisper.speech import BLOCK, CHUNK, WARM_UP
from projectw_runner.engines.whisper.windows import (
    CAREFUL,
    LONGEST,
    STRICT,
    Hearing,
    Portion,
    Window,
    Windows,
)
from tests.runner.conftest import Held
from tests.runner.engines.whisper.small import RATE, Loudness

Hold = Callable[..., Any]
Sounds = NDArray[np.float32]


def recording(*parts: float, loud: float = 0.9) -> Sounds:
    """Speech and pauses in turn, in seconds."""
    return np.concatenate(
        [np.full(round(part * RATE), loud * (n % 2 == 0), np.float32) for n, part in enumerate(parts)]
    )


def portions_of(
    samples: Sounds, *, start: float = 0.0, count: int = 1, hearing: Hearing = CAREFUL
) -> Iterator[Portion]:
    windows = Windows(Held(samples), Loudness(), hearing, start_seconds=start)
    while (portion := windows.next(count)) is not None:
        yield portion


def windows_of(samples: Sounds, **options: Any) -> list[Window]:
    return [window for portion in portions_of(samples, **options) for window in portion.windows]


def places(windows: list[Window]) -> list[tuple[float, float]]:
    return [(round(window.start_seconds, 1), round(window.end_seconds, 1)) for window in windows]


# What holds for every recording


@st.composite
def recordings(draw: st.DrawFn) -> Sounds:
    """Speech, loud and faint, with pauses from a tenth of a second to half a minute."""
    chance = np.random.default_rng(draw(st.integers(0, 2**31)))
    pieces = []
    for _ in range(draw(st.integers(1, 10))):
        pieces.append(np.full(int(chance.exponential(6) * RATE), chance.choice([0.9, 0.6, 0.4]), np.float32))
        pieces.append(np.zeros(int(chance.choice([0.1, 0.5, 2, 5, 30]) * chance.random() * RATE), np.float32))
    return np.concatenate(pieces[draw(st.integers(0, 1)) :])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(recordings(), st.sampled_from([CAREFUL, STRICT]), st.sampled_from([1, 3]))
def test_windows_hold_all_speech_once_and_are_not_too_long(
    samples: Sounds, hearing: Hearing, count: int
) -> None:
    portions = list(portions_of(samples, hearing=hearing, count=count))
    windows = [window for portion in portions for window in portion.windows]
    heard = np.zeros(len(samples), bool)
    for window in windows:
        end = window.start + len(window.samples)
        assert 0 < len(window.samples) <= LONGEST
        assert np.array_equal(window.samples, samples[window.start : end])
        assert not heard[window.start : end].any()
        heard[window.start : end] = True
        assert window.spans
        for begin, stop in window.spans:
            assert begin < stop <= window.end_seconds
    assert all(one.start < two.start for one, two in pairwise(windows))
    surely = np.flatnonzero(np.abs(samples) >= hearing.begins)
    assert not len(surely) or heard[surely].mean() > 0.999
    ends = [portion.resume_at for portion in portions]
    assert ends == sorted(set(ends))
    assert not len(samples) or ends[-1] == len(samples) / RATE


@settings(max_examples=40, deadline=None, derandomize=True)
@given(recordings(), st.sampled_from([1, 2]))
def test_wherever_one_goes_on_the_following_windows_are_the_same(samples: Sounds, count: int) -> None:
    portions = list(portions_of(samples, count=count))
    for number, portion in enumerate(portions, 1):
        following = [window for each in portions[number:] for window in each.windows]
        again = windows_of(samples, start=portion.resume_at)
        assert [(each.start, len(each.samples), each.spans) for each in again] == [
            (each.start, len(each.samples), each.spans) for each in following
        ]


# Where they end


def test_a_window_ends_in_the_last_pause_that_it_reaches() -> None:
    assert places(windows_of(recording(8, 0.6, 8, 0.6, 8))) == [(0.0, 16.9), (16.9, 25.2)]


def test_a_breath_is_no_pause() -> None:
    assert places(windows_of(recording(8, 0.2, 8, 0.2, 3))) == [(0.0, 19.4)]
    assert len(windows_of(recording(8, 0.2, 8, 0.2, 3))[0].spans) == 1


def test_a_long_pause_ends_a_window_early_and_is_passed_over() -> None:
    assert places(windows_of(recording(3, 4, 4))) == [(0.0, 3.3), (6.7, 11.0)]
    assert places(windows_of(recording(3, 2, 4))) == [(0.0, 9.0)]
    assert places(windows_of(recording(3, 2, 4), hearing=STRICT)) == [(0.0, 3.3), (4.7, 9.0)]


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    samples = recording(30)
    samples[14 * RATE : 14 * RATE + RATE // 5] = 0.5
    assert places(windows_of(samples)) == [(0.0, 14.1), (14.1, 30.0)]
    samples[4 * RATE : 4 * RATE + RATE // 5] = 0.4
    assert places(windows_of(samples)) == [(0.0, 14.1), (14.1, 30.0)], "the first half is left whole"


def test_speech_after_silence_is_not_cut_where_a_block_ends() -> None:
    edge = BLOCK / RATE
    samples = np.concatenate([np.zeros(round((edge - 0.7) * RATE), np.float32), recording(6, 5)])
    assert places(windows_of(samples)) == [(29.7, 36.3)]


def test_the_spans_of_a_window_say_where_someone_speaks() -> None:
    (window,) = windows_of(recording(2, 1, 3))
    (one, two), (three, four) = window.spans
    assert (one, two, three, four) == pytest.approx((0.0, 2.0, 3.0, 6.0), abs=0.04)
    assert window.speech(0.0, 6.0) == pytest.approx(5.0, abs=0.1)
    assert window.speech(2.1, 2.9) == 0.0
    assert window.speech(1.5, 3.5) == pytest.approx(1.0, abs=0.1)


def test_the_rest_of_a_window_keeps_its_place_in_the_recording() -> None:
    window = Window(10 * RATE, np.arange(4 * RATE, dtype=np.float32), ((10.0, 14.0),))
    rest = window.rest(1.5)
    assert (rest.start_seconds, rest.end_seconds, rest.seconds) == (11.5, 14.0, 2.5)
    assert rest.samples[0] == 1.5 * RATE
    assert rest.speech(0.0, 99.0) == 4.0
    assert window.rest(9.0).seconds == 0.0


# What is passed over


def test_a_job_that_asks_for_it_gets_only_what_is_surely_speech() -> None:
    faint = recording(4, loud=0.6)
    assert len(windows_of(faint)) == 1
    assert windows_of(faint, hearing=STRICT) == []


def test_a_word_goes_on_at_what_would_not_begin_one() -> None:
    samples = np.concatenate([recording(2), recording(2, loud=0.4), recording(1)])
    assert windows_of(samples)[0].spans == ((0.0, 5.0),)
    assert windows_of(recording(4, loud=0.4)) == []


def test_minutes_of_silence_are_told_in_portions_without_windows() -> None:
    portions = list(portions_of(np.zeros(1500 * RATE, np.float32)))
    assert [len(portion.windows) for portion in portions] == [0, 0, 0]
    assert portions[0].resume_at == pytest.approx(600, abs=40)
    assert portions[-1].resume_at == 1500.0


@pytest.mark.parametrize("samples", [0, 1, CHUNK - 1, CHUNK + 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("loud", [0.0, 0.9])
def test_a_recording_of_any_length_is_gone_through_to_its_end(samples: int, loud: float) -> None:
    portions = list(portions_of(np.full(samples, loud, np.float32)))
    assert sum(len(window.samples) for each in portions for window in each.windows) == samples * (loud > 0)
    assert [portion.resume_at for portion in portions[-1:]] == [samples / RATE] * (samples > 0)


def test_a_recording_may_end_in_a_word() -> None:
    (window,) = windows_of(recording(1, 1, 0.5))
    assert window.end_seconds == 2.5


def test_a_start_behind_the_end_brings_nothing() -> None:
    assert list(portions_of(recording(5), start=50.0)) == []
    assert list(portions_of(recording(5), start=5.0)) == []


# What is held


TALK = np.tile(recording(20, 5), 3)


class Endless:
    """Three hours that nobody holds: talk with pauses, and an hour of silence."""

    def __init__(self) -> None:
        self.position = 0
        self.largest = 0

    def read(self, count: int) -> Sounds:
        count = min(count, 3 * 3600 * RATE - self.position)
        self.largest = max(self.largest, count)
        begin = self.position
        self.position += count
        if 3600 * RATE <= begin < 7200 * RATE:
            return np.zeros(count, np.float32)
        begin %= 25 * RATE
        return TALK[begin : begin + count]


class Attentive(Loudness):
    """Notes how much it is given at once."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int]] = []

    def listen(self, samples: Sounds, before: Sounds) -> Sounds:
        self.given.append((len(samples), len(before)))
        return super().listen(samples, before)


def test_of_three_hours_little_more_than_a_minute_is_held() -> None:
    source, ear = Endless(), Attentive()
    windows = Windows(source, ear)
    held, count, seconds = 0, 0, 0.0
    while (portion := windows.next(4)) is not None:
        held = max(held, len(windows._held))
        assert len(windows._chances) <= len(windows._held) // CHUNK + 1
        count += len(portion.windows)
        seconds += sum(window.seconds for window in portion.windows)
    assert held < 65 * RATE
    assert source.largest <= BLOCK
    assert seconds == pytest.approx(2 * 144 * 20, rel=0.05)
    assert set(ear.given) == {(BLOCK, 0), (BLOCK, WARM_UP), (3 * 3600 * RATE % BLOCK, WARM_UP)}
    assert len(ear.given) < 240, "no one listens for speech in an hour of nothing"


def test_what_is_done_is_passed_over_in_pieces_and_not_listened_to() -> None:
    source, ear = Endless(), Attentive()
    portion = Windows(source, ear, start_seconds=10_000.0).next(1)
    assert portion is not None
    assert portion.windows[0].start_seconds == pytest.approx(10_000, abs=0.1)
    assert source.largest <= BLOCK
    assert len(ear.given) <= 3
    assert ear.given[0] == (BLOCK, WARM_UP)


def test_a_source_that_gives_less_than_was_asked_for_is_asked_again() -> None:
    class Dripping(Held):
        def read(self, count: int) -> Sounds:
            return super().read(min(count, 7_777))

    samples = recording(9, 0.5, 8, 0.5, 9, 40, 5)
    windows = Windows(Dripping(samples), Loudness())
    found = []
    while (portion := windows.next(1)) is not None:
        found += portion.windows
    assert places(found) == places(windows_of(samples))
