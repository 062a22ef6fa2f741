"""Which windows are decoded again, what of the tries counts, and what the model is told before."""

from collections.abc import Callable, Sequence

import pytest
import torch
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.arithmetic import Arithmetic
from projectw_runner.engines.whisper.decoder import Decoder
from projectw_runner.engines.whisper.decoding import (
    Decoded,
    Heard,
    Writer,
    compression_ratio,
    language_chances,
)
from projectw_shared.jobs import JobSettings
from tests.runner.engines.whisper.small import decoded, random_model

EXACT = Arithmetic("float32", torch.float32, torch.float32)
Answer = Callable[[int, float], Decoded]


class Ladder(Writer):
    """Writes what ``answer`` says of a window's number and a temperature."""

    def __init__(self, answer: Answer, temperature: float = 0.0) -> None:
        self._settings = JobSettings(temperature=temperature)
        self._answer = answer
        self.asked: list[tuple[list[float], list[int]]] = []

    def _write(self, heard: Heard, temperatures: Sequence[float]) -> list[list[Decoded]]:
        self.asked.append((list(temperatures), heard.seeds))
        assert heard.states[:, 0, 0].tolist() == heard.seeds
        assert heard.prompts == [[seed] for seed in heard.seeds]
        return [[self._answer(seed, each) for each in temperatures] for seed in heard.seeds]

    def write(self, windows: int = 1) -> list[Decoded]:
        seeds = list(range(windows))
        heard = Heard(torch.arange(windows).float()[:, None, None], [[seed] for seed in seeds], seeds)
        return self.warmer(heard, self.first(heard))


def test_a_good_window_is_decoded_once() -> None:
    ladder = Ladder(lambda window, temperature: decoded(temperature))
    assert [each.temperature for each in ladder.write(3)] == [0.0] * 3
    assert ladder.asked == [([0.0], [0, 1, 2])]


@pytest.mark.parametrize("bad", [{"logprob": -1.5}, {"repeats": 3.0}, {"repeats": 3.0, "silence": 0.9}])
def test_a_doubtful_window_and_only_that_is_decoded_warmer_and_the_coolest_good_try_counts(
    bad: dict[str, float],
) -> None:
    good_from = {0: 0.0, 1: 0.5, 2: 0.0, 3: 0.1}
    ladder = Ladder(
        lambda window, temperature: decoded(temperature, **({} if temperature >= good_from[window] else bad))
    )
    assert [each.temperature for each in ladder.write(4)] == [0.0, 0.6, 0.0, 0.2]
    assert ladder.asked == [([0.0], [0, 1, 2, 3]), ([0.2, 0.4, 0.6, 0.8, 1.0], [1, 3])]


def test_the_ladder_begins_at_the_temperature_that_was_asked_for_and_ends_at_1() -> None:
    ladder = Ladder(lambda window, temperature: decoded(temperature, repeats=9.0), temperature=0.3)
    ladder.write()
    assert [temperatures for temperatures, _ in ladder.asked] == [[0.3] * 5, [0.5, 0.7, 0.9]]
    ladder = Ladder(lambda window, temperature: decoded(temperature, repeats=9.0))
    ladder.write()
    assert [temperatures for temperatures, _ in ladder.asked] == [[0.0], [0.2, 0.4, 0.6, 0.8, 1.0]]
    ladder = Ladder(lambda window, temperature: decoded(temperature, repeats=9.0), temperature=0.9)
    ladder.write()
    assert [temperatures for temperatures, _ in ladder.asked] == [[0.9] * 5], "1.1 would be too warm"


def test_of_failed_tries_the_surest_counts_that_does_not_repeat_itself() -> None:
    tries = {0.0: (-0.2, 9.0), 0.2: (-1.4, 1.2), 0.4: (-1.2, 1.2), 0.6: (-0.5, 2.5), 0.8: (-1.3, 1.2)}

    def answer(window: int, temperature: float) -> Decoded:
        logprob, repeats = tries.get(temperature, (-3.0, 1.0))
        return decoded(temperature, logprob=logprob, repeats=repeats)

    assert Ladder(answer).write()[0].temperature == 0.4


def test_when_all_tries_repeat_themselves_the_one_that_does_least_counts() -> None:
    ladder = Ladder(lambda window, temperature: decoded(temperature, repeats=3.0 + abs(temperature - 0.6)))
    assert ladder.write()[0].temperature == 0.6


def test_silence_is_not_decoded_again() -> None:
    ladder = Ladder(lambda window, temperature: decoded(temperature, logprob=-1.5, silence=0.9))
    (found,) = ladder.write()
    assert found.is_silence
    assert ladder.asked == [([0.0], [0])]
    assert not decoded(logprob=-0.5, silence=0.9).is_silence


def test_a_text_that_repeats_itself_is_much_smaller_when_compressed() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("He was not an ill-disposed young man.") < 1.5
    assert compression_ratio("no, no, " * 30) > 2.4
    assert compression_ratio(" text ") == compression_ratio("text")


# What is told


@pytest.fixture(scope="module", params=[51_864, 51_865])
def writer(request: pytest.FixtureRequest) -> Writer:
    """A writer of random words, with a model for English alone and with one for many languages."""
    name = "english" if request.param == 51_864 else "multilingual"
    tokenizer: Tokenizer = request.getfixturevalue(name)
    model = random_model(n_vocab=request.param)
    model.decoder.token_embedding.weight[tokenizer.eot] = 0  # so that it writes on
    return Writer(Decoder(model, EXACT), tokenizer, JobSettings())


def test_a_prompt_is_cut_to_the_room_that_there_is_for_it(writer: Writer) -> None:
    long = list(range(1000, 1500))
    told = writer._told(long)
    tokenizer = writer._tokenizer
    start = list(tokenizer.sot_sequence)
    assert told[0] == tokenizer.sot_prev
    assert told[-len(start) :] == start
    past = told[1 : -len(start)]
    assert past == long[-len(past) :]
    assert len(past) == 64 - 32 - len(start)
    assert writer._told([]) == start
    assert writer._told([5, 6]) == [tokenizer.sot_prev, 5, 6, *start]


def test_beside_the_longest_prompt_there_is_room_for_the_longest_text(writer: Writer) -> None:
    states = torch.randn(2, 10, 32, generator=torch.Generator().manual_seed(3))
    found = writer.first(Heard(states, [list(range(1000, 1500)), []], [1, 2]))
    assert [len(each.tokens) for each in found] == [32, 32]


@pytest.mark.parametrize(("temperature", "beam_size"), [(0.0, None), (0.0, 3), (0.4, None)])
def test_what_was_written_is_measured(english: Tokenizer, temperature: float, beam_size: int | None) -> None:
    model = random_model(n_vocab=51_864)
    job = JobSettings(temperature=temperature, beam_size=beam_size)
    states = torch.randn(2, 10, 32, generator=torch.Generator().manual_seed(3))
    for found in Writer(Decoder(model, EXACT), english, job).first(Heard(states, [[], [7]], [1, 2])):
        text = english.decode([token for token in found.tokens if token < english.eot])
        assert found.compression_ratio == compression_ratio(text)
        assert found.temperature == temperature
        assert found.avg_logprob < 0
        assert 0 <= found.no_speech_prob <= 1
        assert english.eot not in found.tokens


def test_languages_are_as_likely_as_the_reference_finds_them(multilingual: Tokenizer) -> None:
    model = random_model(n_vocab=51_865)
    states = torch.randn(2, 1500, 32, generator=torch.Generator().manual_seed(3))
    found = language_chances(Decoder(model, EXACT), multilingual, states)
    _, wanted = model.detect_language(states, multilingual)
    for one, two in zip(found, wanted, strict=True):
        assert one == pytest.approx(two, abs=1e-5)
        assert sum(one.values()) == pytest.approx(1.0)
