"""A batch of windows on its way to segments, with a network that writes what it is told to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer

from projectw_runner.engines import Task
from projectw_runner.engines.whisper import transcription
from projectw_runner.engines.whisper.decoding import Decoded, Heard
from projectw_runner.engines.whisper.hearing import TRIMMED, UNTRIMMED, WHOLE, View
from projectw_runner.engines.whisper.splitting import Draft, Placed, Split
from projectw_runner.engines.whisper.transcription import Transcription, _Passage, _told, encode
from projectw_runner.engines.whisper.windows import Window
from projectw_shared.jobs import JobSettings
from projectw_shared.transcripts import Segment
from tests.runner.engines.whisper.small import RATE, decoded

NO_STATES = torch.zeros(0)


def window(start: float = 0.0, seconds: float = 20.0, spoken: float | None = None) -> Window:
    """Return a window in which someone speaks for its first ``spoken`` seconds, or all the time."""
    spoken = seconds if spoken is None else spoken
    samples = np.zeros(round(seconds * RATE), np.float32)
    return Window(round(start * RATE), samples, ((start, start + spoken),))


class Told:
    """A network that writes what ``says`` of a window's start in seconds, and notes what it was asked."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tokenizer: Tokenizer,
        says: Callable[[float], Decoded],
        *,
        warm: Callable[[float], Decoded] | None = None,
        view: View = TRIMMED,
    ) -> None:
        self.heard: list[tuple[list[float], int]] = []
        self.prompts: list[list[list[int]]] = []
        self.writers = 0
        told = self

        class Writing:
            def __init__(self, decoder: Any, tokenizer: Tokenizer, settings: JobSettings) -> None:
                told.writers += 1

            def first(self, heard: Heard) -> list[Decoded]:
                starts = [seed / RATE for seed in heard.seeds]
                told.heard.append((starts, 2 * heard.states.shape[1]))
                told.prompts.append(heard.prompts)
                return [says(start) for start in starts]

            def warmer(self, heard: Heard, made: Sequence[Decoded]) -> list[Decoded]:
                return [warm(seed / RATE) for seed in heard.seeds] if warm else list(made)

        monkeypatch.setattr(transcription, "Writer", Writing)
        self.network: Any = SimpleNamespace(
            view=view,
            dims=SimpleNamespace(n_mels=80),
            device=torch.device("cpu"),
            encoder=lambda mel: torch.zeros(mel.shape[0], mel.shape[2] // 2, 1),
            decoder=None,
            alignment_heads=None,
            is_multilingual=False,
            tokenizer=lambda language, task: tokenizer,
        )


class Scribe:
    """Makes tokens of texts and times."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, *parts: str | float) -> list[int]:
        tokens: list[int] = []
        for part in parts:
            if isinstance(part, str):
                tokens += self._tokenizer.encode(part)
            else:
                tokens.append(self._tokenizer.timestamp_begin + round(part * 50))
        return tokens


@pytest.fixture(scope="module")
def scribe(english: Tokenizer) -> Scribe:
    return Scribe(english)


def lines(segments: Sequence[Segment]) -> list[tuple[float, float, str]]:
    return [(segment.start, segment.end, segment.text) for segment in segments]


# What was left over


@pytest.mark.parametrize(
    ("ends", "advance", "closed", "spoken", "rest"),
    [
        (8.0, 8.0, False, 20.0, 8.0),  # it left a segment open
        (8.0, 20.0, True, 20.0, 8.0),  # it took itself to be done, but someone speaks on
        (8.0, 8.0, False, 8.2, None),
        (8.0, 8.0, False, 8.5, 8.0),
        (8.0, 20.0, True, 8.8, None),
        (8.0, 20.0, True, 9.2, 8.0),
        (20.0, 20.0, False, 20.0, None),
        (0.0, 20.0, True, 20.0, None),  # it would be the same again
    ],
)
def test_what_the_model_left_undone_is_looked_at_again_if_someone_speaks_there(
    ends: float, advance: float, closed: bool, spoken: float, rest: float | None
) -> None:
    result = Split([Draft(0.0, ends, [5])], round(advance * 100), closed)
    passage = _Passage(window(100.0, spoken=spoken), decoded(), result, NO_STATES)
    found = Transcription(Task())._rest(passage)
    assert (None if found is None else found.start_seconds - 100.0) == rest
    assert Transcription(Task())._rest(replace(passage, decoded=decoded(logprob=-2, silence=0.9))) is None


def test_the_rest_of_a_window_goes_into_another_batch_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    texts = {
        0.0: scribe(0.0, " One.", 4.0, 4.0, " Two.", 8.0, 8.0, " Thr"),
        8.0: scribe(0.0, " Three.", 6.0, 6.0, " Fo"),
        14.0: scribe(0.0, " Four.", 6.0),
        20.0: scribe(0.0, " Five.", 20.0),
        40.0: scribe(0.0, " Six.", 5.0, 5.0, " Sev"),
        45.0: scribe(0.0, " Seven.", 15.0),
    }
    told = Told(monkeypatch, english, lambda start: decoded(tokens=texts[start]))
    work = Transcription(Task(first=7))
    segments = work.batch(told.network, [window(0.0), window(20.0), window(40.0)])
    assert lines(segments) == [
        (0.0, 4.0, " One."),
        (4.0, 8.0, " Two."),
        (8.0, 14.0, " Three."),
        (14.0, 20.0, " Four."),
        (20.0, 40.0, " Five."),
        (40.0, 45.0, " Six."),
        (45.0, 60.0, " Seven."),
    ]
    assert [segment.id for segment in segments] == list(range(7, 14))
    assert [starts for starts, _ in told.heard] == [[0.0, 20.0, 40.0], [8.0, 45.0], [14.0]]
    assert told.prompts[0] == [[], [], []]
    assert told.prompts[1] == [texts[0.0], texts[40.0]], "a rest is told what was written before it"


def test_a_window_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(
        monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " a", 0.2, 0.2, " b", 0.4, 0.4, " c"))
    )
    segments = Transcription(Task()).batch(told.network, [window()])
    assert len(told.heard) == 8
    assert len(segments) == 16


def test_text_that_was_sampled_hot_or_is_doubtful_guides_nothing() -> None:
    assert _told(decoded(0.4, tokens=[1, 2])) == [1, 2]
    assert _told(decoded(0.6, tokens=[1, 2])) == []
    assert _told(decoded(0.0, tokens=[1, 2], repeats=3.0)) == []


# What looks wrong


@pytest.mark.parametrize(("view", "lengths"), [(TRIMMED, [2432, WHOLE]), (UNTRIMMED, [WHOLE])])
@pytest.mark.parametrize("bad", [{"logprob": -1.5}, {"logprob": -1.5, "silence": 0.9}, {"repeats": 3.0}])
def test_what_looks_wrong_is_heard_again_with_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
    english: Tokenizer,
    scribe: Scribe,
    view: View,
    lengths: list[int],
    bad: dict[str, float],
) -> None:
    def says(start: float) -> Decoded:
        return decoded(tokens=scribe(0.0, f" At {start:.0f}.", 20.0), **(bad if start == 20.0 else {}))

    def warm(start: float) -> Decoded:
        return decoded(0.2, tokens=scribe(0.0, " Better.", 20.0))

    told = Told(monkeypatch, english, says, warm=warm, view=view)
    segments = Transcription(Task()).batch(told.network, [window(0.0), window(20.0), window(40.0)])
    assert [frames for _, frames in told.heard] == lengths
    assert [starts for starts, _ in told.heard] == [[0.0, 20.0, 40.0], [20.0]][: len(lengths)]
    assert [segment.text for segment in segments] == [" At 0.", " Better.", " At 40."]
    assert [segment.temperature for segment in segments] == [0.0, 0.2, 0.0]


# What becomes a segment


@pytest.mark.parametrize(
    ("spoken", "vad", "logprob", "silence", "invented"),
    [
        (True, False, -0.9, 0.5, False),
        (True, True, -0.9, 0.5, False),
        (False, False, -0.3, 0.1, False),  # the model is sure of what the detector does not hear
        (False, False, -0.8, 0.1, True),
        (False, False, -0.3, 0.4, True),
        (False, True, -0.3, 0.1, True),
    ],
)
def test_a_segment_where_nobody_speaks_is_kept_only_if_the_model_is_sure(
    spoken: bool, vad: bool, logprob: float, silence: float, invented: bool
) -> None:
    work = Transcription(Task(JobSettings(vad=vad)))
    heard = window(10.0, spoken=3.0)
    place = (10.0, 14.0) if spoken else (15.0, 19.0)
    assert work._is_invented(heard, decoded(logprob=logprob, silence=silence), *place) is invented


def test_only_text_inside_the_window_becomes_segments(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    tokens = scribe(0.0, " One.", 2.0, 2.0, " ", 3.0, 25.0, " Outside.", 26.0, 26.0, " Too.", 28.0)
    told = Told(monkeypatch, english, lambda start: decoded(tokens=tokens))
    segments = Transcription(Task()).batch(told.network, [window(5.0, 20.0)])
    assert lines(segments) == [(5.0, 7.0, " One.")]
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " Long.", 25.0)))
    segments = Transcription(Task()).batch(told.network, [window(5.0, 20.0)])
    assert lines(segments) == [(5.0, 25.0, " Long.")]


def test_silence_and_inventions_leave_no_gap_in_the_numbers(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    def says(start: float) -> Decoded:
        bad = {20.0: {"logprob": -1.5, "silence": 0.9}, 40.0: {"silence": 0.5}}.get(start, {})
        return decoded(tokens=scribe(0.0, f" At {start:.0f}.", 20.0), **bad)

    told = Told(monkeypatch, english, says)
    work = Transcription(Task(first=3))
    heard = [window(0.0), window(20.0), window(40.0, spoken=0.5), window(60.0)]
    segments = work.batch(told.network, heard)
    assert [(segment.id, segment.text) for segment in segments] == [(3, " At 0."), (4, " At 60.")]
    segments = work.batch(told.network, [window(80.0)])
    assert [segment.id for segment in segments] == [5], "and the next batch goes on"


def test_numbers_that_json_cannot_say_are_left_out(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    odd = Decoded(scribe(0.0, " One.", 2.0), math.nan, math.nan, math.inf, 0.0)
    told = Told(monkeypatch, english, lambda start: odd, warm=lambda start: odd)
    (segment,) = Transcription(Task()).batch(told.network, [window(0.0, 2.0)])
    assert (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio) == (None, None, None)


def test_words_are_placed_in_the_recording_and_bounded_by_their_segment(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One two", 2.0)))
    frames: list[list[int]] = []

    def align(decoder: Any, tokenizer: Any, heads: Any, states: Tensor, texts: Any, counts: Any) -> Any:
        frames.append(list(counts))
        assert len(states) == len(texts) == len(counts)
        words = (" One", 0.0, 0.5, 0.9), (" two", 0.5, 2.3, math.nan)
        return [[Placed(*word, tokens=1) for word in words] for _ in texts]

    monkeypatch.setattr(transcription, "align", align)
    work = Transcription(Task(JobSettings(word_timestamps=True)))
    segments = work.batch(told.network, [window(10.0, 2.0), window(20.0, 2.0)])
    assert frames == [[200, 200]], "the windows of a batch are aligned together"
    for segment, start in zip(segments, (10.0, 20.0), strict=True):
        assert segment.words is not None
        one, two = segment.words
        assert (one.word, one.start, one.end, one.probability) == (" One", start, start + 0.5, 0.9)
        assert (two.word, two.start, two.end, two.probability) == (" two", start + 0.5, start + 2, 0.0)
    plain = Transcription(Task()).batch(told.network, [window(10.0, 2.0)])
    assert plain[0].words is None
    assert len(frames) == 1


# What the model is told


def test_every_window_is_told_the_jobs_prompt_and_of_a_long_one_the_end(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    work = Transcription(Task(JobSettings(initial_prompt=" Niamh, Saoirse")))
    work.batch(told.network, [window(0.0), window(20.0)])
    work.batch(told.network, [window(40.0)])
    assert told.prompts == [[english.encode(" Niamh, Saoirse")] * 2, [english.encode(" Niamh, Saoirse")]]
    long = Transcription(Task(JobSettings(initial_prompt="word " * 200)))
    assert long._prompt(english) == english.encode(" word") * 111


def test_control_tokens_in_a_prompt_are_text(multilingual: Tokenizer) -> None:
    tokens = encode(multilingual, "<|endoftext|><|startoftranscript|><|1.00|>")
    assert max(tokens) < multilingual.eot
    assert multilingual.decode(tokens) == "<|endoftext|><|startoftranscript|><|1.00|>"


# The language


def votes(monkeypatch: pytest.MonkeyPatch, *chances: dict[str, float]) -> list[int]:
    """Let windows speak languages; return how many windows were asked each time."""
    asked: list[int] = []

    def language_chances(decoder: Any, tokenizer: Any, states: Tensor) -> list[dict[str, float]]:
        asked.append(len(states))
        return list(chances)

    monkeypatch.setattr(transcription, "language_chances", language_chances)
    return asked


def test_the_language_is_that_of_most_of_what_is_heard_and_stays(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    told.network.is_multilingual = True
    german, dutch = {"de": 0.6, "nl": 0.4}, {"de": 0.1, "nl": 0.9}
    asked = votes(monkeypatch, dutch, german, german)
    work = Transcription(Task())
    work.batch(told.network, [window(0.0, 4.0), window(20.0, 20.0), window(40.0, 20.0)])
    assert (work.language, asked) == ("de", [3])
    work.batch(told.network, [window(60.0)])
    assert asked == [3]
    votes(monkeypatch, dutch, german)
    other = Transcription(Task())
    other.batch(told.network, [window(0.0, 20.0), window(20.0, 4.0)])
    assert other.language == "nl", "a longer window has more to say"


def test_noise_without_a_word_says_nothing_of_the_language(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(
        monkeypatch,
        english,
        lambda start: decoded(tokens=scribe(0.0, " One.", 20.0) if start >= 20 else []),
    )
    told.network.is_multilingual = True
    work = Transcription(Task())
    votes(monkeypatch, {"ja": 0.9})
    assert work.batch(told.network, [window(0.0)]) == []
    assert work.language is None
    votes(monkeypatch, {"de": 0.9})
    assert len(work.batch(told.network, [window(20.0)])) == 1
    assert work.language == "de"


@pytest.mark.parametrize(
    "task",
    [Task(JobSettings(language="fr")), Task(language="fr"), Task(JobSettings(language="fr"), language="de")],
)
def test_a_language_that_is_known_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe, task: Task
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    told.network.is_multilingual = True
    asked = votes(monkeypatch)
    work = Transcription(task)
    work.batch(told.network, [window()])
    assert (work.language, asked) == ("fr", [])


def test_a_model_for_english_alone_hears_english(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    asked = votes(monkeypatch)
    work = Transcription(Task())
    work.batch(told.network, [window()])
    assert (work.language, asked) == ("en", [])


def test_another_network_goes_on_in_the_same_language_and_numbers(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    told.network.is_multilingual = True
    asked = votes(monkeypatch, {"de": 1.0})
    work = Transcription(Task())
    work.batch(told.network, [window()])
    work.restart()
    (segment,) = work.batch(told.network, [window(20.0)])
    assert (work.language, asked, segment.id, told.writers) == ("de", [1], 1, 2)


def test_what_follows_begins_no_earlier_than_what_was_written_ends(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(monkeypatch, english, lambda start: decoded(tokens=scribe(0.0, " One.", 20.0)))
    work = Transcription(Task(previous=(SimpleNamespace(end=1.5),)))  # type: ignore[arg-type]
    found = work.batch(told.network, [window(0.0), window(19.0)])
    assert [(segment.start, segment.end) for segment in found] == [(1.5, 20.0), (20.0, 39.0)]


def test_words_are_sought_where_their_text_lies_and_not_in_what_was_left_over(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    told = Told(
        monkeypatch,
        english,
        lambda start: decoded(
            tokens=scribe(0.0, " One.", 8.0, 8.0, " Tw") if start == 0 else scribe(0.0, " Two.", 12.0)
        ),
    )
    asked: list[list[int]] = []

    def align(*arguments: Any) -> list[list[Any]]:
        asked.append(arguments[-1])
        return [[] for _ in arguments[-1]]

    monkeypatch.setattr(transcription, "align", align)
    Transcription(Task(JobSettings(word_timestamps=True))).batch(told.network, [window(0.0)])
    assert sorted(frames for group in asked for frames in group) == [800, 1200]


def test_a_batch_that_fails_leaves_the_language_open(
    monkeypatch: pytest.MonkeyPatch, english: Tokenizer, scribe: Scribe
) -> None:
    def fails(start: float) -> Decoded:
        raise MemoryError

    told = Told(monkeypatch, english, fails)
    told.network.is_multilingual = True
    votes(monkeypatch, {"de": 0.9})
    work = Transcription(Task())
    with pytest.raises(MemoryError):
        work.batch(told.network, [window(0.0)])
    assert work.language is None
