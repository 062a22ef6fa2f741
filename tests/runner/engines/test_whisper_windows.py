"""The parts of the loop that need no weights: windows, levels, splitting, fallback, context, the choice of a model."""

import numpy as np
import pytest
from numpy.typing import NDArray
from whisper.tokenizer import Tokenizer, get_tokenizer

from projectw_runner.engines import Task
from projectw_runner.engines.whisper.choosing import choose_model
from projectw_runner.engines.whisper.context import Context, encode
from projectw_runner.engines.whisper.decoding import Decoded, with_fallback
from projectw_runner.engines.whisper.hearing import is_silent
from projectw_runner.engines.whisper.levels import Levelled
from projectw_runner.engines.whisper.loading import read_vocabulary
from projectw_runner.engines.whisper.splitting import Split, split
from projectw_runner.engines.whisper.windows import Windows
from projectw_runner.failures import JobFailure
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import PROMPT_SEGMENTS, Segment

BEGIN = 50_363
END = 50_256


class Endless:
    """Three hours of samples that nobody holds; each says where it stands."""

    def __init__(self, seconds: float) -> None:
        self.left = round(seconds * 16_000)
        self.position = 0
        self.largest = 0

    def read(self, count: int) -> NDArray[np.float32]:
        taken = min(count, self.left)
        self.left -= taken
        self.largest = max(self.largest, taken)
        piece = np.arange(self.position, self.position + taken, dtype=np.float32)
        self.position += taken
        return piece


def segment(number: int, start: float, end: float, text: str = " word", **numbers: float) -> Segment:
    return Segment(id=number, start=start, end=end, text=text, **{"temperature": 0.0, **numbers})  # type: ignore[arg-type]


def decoded(
    temperature: float, *, logprob: float = -0.3, repeats: float = 1.2, silence: float = 0.1
) -> Decoded:
    return Decoded([], logprob, silence, repeats, temperature)


# --- windows ------------------------------------------------------------------------------------------------


def test_windows_follow_one_another_without_a_gap_and_without_a_sample_twice() -> None:
    windows = Windows(Endless(100))
    starts = []
    for advance in (3000, 1234, 3000, 2766):
        window = windows.current()
        assert window is not None
        starts.append(window.start)
        assert window.samples[0] == window.start * 160
        assert len(window.samples) == window.frames * 160
        windows.advance(advance)
    assert starts == [0, 3000, 4234, 7234]
    assert windows.current() is None


def test_the_last_window_is_as_long_as_what_is_left() -> None:
    windows = Windows(Endless(31.5))
    windows.advance(3000)
    window = windows.current()
    assert window is not None
    assert (window.start_seconds, window.end_seconds, window.seconds) == (30.0, 31.5, 1.5)


def test_a_rest_too_short_for_a_word_is_no_window() -> None:
    windows = Windows(Endless(30.09))
    windows.advance(3000)
    assert windows.current() is None


def test_a_later_start_skips_what_is_done_in_pieces() -> None:
    source = Endless(3 * 3600)
    window = Windows(source, 10_000.02).current()
    assert window is not None
    assert window.start == 1_000_002
    assert window.samples[0] == window.start * 160
    assert source.largest <= 30 * 16_000


def test_three_hours_are_never_held() -> None:
    source = Endless(3 * 3600)
    windows = Windows(source)
    count = 0
    while (window := windows.current()) is not None:
        assert len(window.samples) <= 480_000
        windows.advance(2500)
        count += 1
    assert count == 432
    assert source.largest <= 480_000


def test_a_start_behind_the_end_brings_nothing() -> None:
    assert Windows(Endless(5), 50.0).current() is None


# --- levels -------------------------------------------------------------------------------------------------


def test_the_level_is_the_loudest_so_far_and_the_same_from_wherever_one_begins() -> None:
    def measure(block: NDArray[np.float32]) -> float:
        return float(block.max())

    def at(start: float) -> float:
        levelled = Levelled(Endless(200), measure)
        assert Windows(levelled, start).current() is not None
        return levelled.level

    whole = Levelled(Endless(200), measure)
    windows = Windows(whole)
    for frames in (2950, 3000, 1000):
        window = windows.current()
        assert window is not None
        assert whole.level == at(window.start_seconds)
        windows.advance(frames)


def test_levelled_samples_are_the_samples() -> None:
    levelled = Levelled(Endless(70), lambda block: 0.0)
    heard = np.concatenate([levelled.read(n) for n in (1, 480_000, 500_000, 400_000, 5)])
    assert np.array_equal(heard, np.arange(70 * 16_000, dtype=np.float32))


@pytest.mark.parametrize(
    ("amplitude", "vad", "silent"),
    [(0.0, False, True), (5e-5, False, True), (1e-3, False, False), (1e-3, True, True), (0.1, True, False)],
)
def test_a_window_with_nothing_to_hear_is_silent(amplitude: float, vad: bool, silent: bool) -> None:
    tone = amplitude * np.sin(np.arange(16_000, dtype=np.float32) / 5)
    assert is_silent(tone.astype(np.float32), vad=vad) is silent


# --- splitting ----------------------------------------------------------------------------------------------


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


# --- fallback -----------------------------------------------------------------------------------------------


def test_a_good_window_is_decoded_once() -> None:
    asked: list[float] = []

    def once(temperature: float) -> Decoded:
        asked.append(temperature)
        return decoded(temperature)

    assert with_fallback(once, 0.0).temperature == 0.0
    assert asked == [0.0]


@pytest.mark.parametrize("bad", [{"logprob": -1.5}, {"repeats": 3.0}, {"repeats": 3.0, "silence": 0.9}])
def test_a_doubtful_window_is_decoded_warmer_until_it_is_good(bad: dict[str, float]) -> None:
    asked: list[float] = []

    def once(temperature: float) -> Decoded:
        asked.append(temperature)
        return decoded(temperature) if temperature > 0.5 else decoded(temperature, **bad)

    assert with_fallback(once, 0.0).temperature == 0.6
    assert asked == [0.0, 0.2, 0.4, 0.6]


def test_the_last_try_counts_however_it_is() -> None:
    asked: list[float] = []

    def once(temperature: float) -> Decoded:
        asked.append(temperature)
        return decoded(temperature, repeats=9.0)

    assert with_fallback(once, 0.3).compression_ratio == 9.0
    assert asked == [0.3, 0.5, 0.7, 0.9]


def test_silence_is_not_decoded_again() -> None:
    quiet = decoded(0.0, logprob=-1.5, silence=0.9, repeats=5.0)
    assert quiet.is_silence
    assert with_fallback(lambda temperature: quiet, 0.0) is quiet
    assert not decoded(0.0, logprob=-0.5, silence=0.9).is_silence


# --- context ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    read_vocabulary(True, 99)
    return get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")


def test_a_prompt_is_what_the_model_itself_wrote(tokenizer: Tokenizer) -> None:
    context = Context(Task())
    context.add([segment(0, 30.0, 32.5, " One."), segment(1, 32.5, 34.0, " Two.")])
    begin = tokenizer.timestamp_begin
    assert context.prompt(tokenizer) == [
        *(begin, *tokenizer.encode(" One."), begin + 125),
        *(begin + 125, *tokenizer.encode(" Two."), begin + 200),
    ]


def test_windows_are_told_apart_by_their_numbers(tokenizer: Tokenizer) -> None:
    context = Context(Task())
    context.add([segment(0, 0.0, 28.0, avg_logprob=-0.1), segment(1, 28.0, 30.0, avg_logprob=-0.2)])
    times = [
        token - tokenizer.timestamp_begin
        for token in context.prompt(tokenizer)
        if token >= tokenizer.timestamp_begin
    ]
    assert times == [0, 1400, 0, 100]


def test_text_sampled_hot_does_not_guide_the_next_window(tokenizer: Tokenizer) -> None:
    context = Context(Task(JobSettings(initial_prompt="Names")))
    context.add([segment(0, 0, 1, " old"), segment(1, 1, 2, " hot", temperature=0.6)])
    assert context.prompt(tokenizer) == []
    context.add([segment(2, 2, 3, " new")])
    assert tokenizer.decode([t for t in context.prompt(tokenizer) if t < tokenizer.eot]) == " new"


def test_the_first_prompt_is_followed_by_the_text_until_that_pushes_it_out(tokenizer: Tokenizer) -> None:
    context = Context(Task(JobSettings(initial_prompt="Niamh, Saoirse")))
    prompt = tokenizer.encode(" Niamh, Saoirse")
    assert context.prompt(tokenizer) == prompt
    for number in range(PROMPT_SEGMENTS + 1):
        assert context.prompt(tokenizer)[: len(prompt)] == prompt
        assert context.next_id == number
        context.add([segment(number, number, number + 1)])
    assert context.prompt(tokenizer)[: len(prompt)] != prompt


def test_a_context_begun_from_stored_segments_is_the_same(tokenizer: Tokenizer) -> None:
    for total in (1, 5, PROMPT_SEGMENTS, PROMPT_SEGMENTS + 7):
        segments = [segment(n, n, n + 0.8, f" word {n}", temperature=0.6 * (n == 3)) for n in range(total)]
        settings = JobSettings(initial_prompt="Niamh")
        through = Context(Task(settings))
        through.add(segments)
        resumed = Context(Task(settings, first=total, previous=tuple(segments[-PROMPT_SEGMENTS:])))
        assert resumed.prompt(tokenizer) == through.prompt(tokenizer)
        assert (resumed.next_id, resumed.last_speech) == (through.next_id, through.last_speech)


def test_control_tokens_in_a_prompt_are_text(tokenizer: Tokenizer) -> None:
    tokens = encode(tokenizer, "<|endoftext|><|startoftranscript|>")
    assert tokenizer.eot not in tokens
    assert tokenizer.decode(tokens) == "<|endoftext|><|startoftranscript|>"


# --- the choice of a model ----------------------------------------------------------------------------------

HERE = ["tiny.en", "tiny", "base", "medium.en", "large-v3-turbo", "turbo"]


@pytest.mark.parametrize(
    ("settings", "default", "chosen"),
    [
        (JobSettings(), None, "large-v3-turbo"),
        (JobSettings(task="translate"), None, "base"),
        (JobSettings(), "tiny", "tiny"),
        (JobSettings(), "turbo", "large-v3-turbo"),
        (JobSettings(), "large", "large-v3-turbo"),
        (JobSettings(), "tiny.en", "tiny.en"),
        (JobSettings(language="de"), "tiny.en", "large-v3-turbo"),
        (JobSettings(model="turbo"), "tiny", "large-v3-turbo"),
        (JobSettings(model="tiny.en"), None, "tiny.en"),
    ],
)
def test_the_model_is_the_one_named_or_the_best_that_fits(
    settings: JobSettings, default: str | None, chosen: str
) -> None:
    assert choose_model(HERE, Task(settings), default) == chosen


def test_english_alone_serves_only_english() -> None:
    assert choose_model(["tiny.en", "medium.en"], Task(), None) == "medium.en"
    for task in (Task(JobSettings(language="de")), Task(language="de"), Task(JobSettings(task="translate"))):
        with pytest.raises(JobFailure, match=r"it has tiny\.en") as failure:
            choose_model(["tiny.en"], task, None)
        assert failure.value.code == "model-missing"


def test_a_missing_model_is_named_with_those_there_are() -> None:
    with pytest.raises(JobFailure, match="does not have the model medium; it has tiny, base") as failure:
        choose_model(["tiny", "base"], Task(JobSettings(model="medium")), None)
    assert failure.value.code == "model-missing"
    with pytest.raises(JobFailure, match="it has none"):
        choose_model([], Task(), None)
