"""Greedy and beams find the reference's tokens for many windows at once; samples are repeatable."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import whisper
from torch import Tensor
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.arithmetic import Arithmetic
from projectw_runner.engines.whisper.decoder import Batch, Decoder
from projectw_runner.engines.whisper.hearing import TRIMMED, spectrograms
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.rules import Rules, State
from projectw_runner.engines.whisper.searching import (
    Written,
    _Drawn,
    _extend,
    _note,
    _Open,
    beams,
    greedy,
    likeliest,
    sample,
)
from projectw_runner.engines.whisper.windows import Window
from tests.runner.engines.whisper.small import RATE, TIMES, VOCABULARY, random_model

pytestmark = pytest.mark.model

CPU = torch.device("cpu")
EXACT = Arithmetic("float32", torch.float32, torch.float32)
MOST = 30
PROMPTS = ["", " Mr. Dashwood, the Middletons and their affairs, as told by Jane Austen.", " A young man."]


@pytest.fixture(scope="module")
def states(network: Network, windows: list[Window]) -> Tensor:
    """What the encoder hears in three windows, of which one is long and one is short."""
    heard = [windows[0], Window(0, windows[2].samples[: 4 * RATE]), windows[1]]
    frames = TRIMMED.frames(heard)
    mel = spectrograms(heard, frames, bands=80, device=CPU)
    return network.encoder(mel)


def of_length(model: Whisper, states: int) -> Whisper:
    """Return the model for windows of so many states."""
    made = copy.copy(model)
    made.dims = replace(model.dims, n_audio_ctx=states)
    return made


def told(tokenizer: Tokenizer, prompt: str) -> list[int]:
    past = [tokenizer.sot_prev, *tokenizer.encode(prompt)] if prompt else []
    return [*past, *tokenizer.sot_sequence]


@pytest.mark.parametrize(
    ("prompts", "beam_size"),
    [([""] * 3, None), (PROMPTS, None), (PROMPTS, 5)],
    ids=["untold", "told", "beams"],
)
def test_windows_of_one_batch_get_the_references_tokens(
    reference: Whisper,
    network: Network,
    english: Tokenizer,
    states: Tensor,
    prompts: list[str],
    beam_size: int | None,
) -> None:
    search: Any = beams if beam_size else greedy
    batch = Batch(network.decoder, network.decoder.cross_memory(states), width=beam_size or 1, length=300)
    rules = Rules(english, CPU)
    logits, at_start = batch.begin([told(english, each) for each in prompts], -1)
    silence = at_start.softmax(1)[:, rules.no_speech].tolist()
    found = search(batch, rules, logits, 224)
    for n, prompt in enumerate(prompts):
        options = whisper.DecodingOptions(
            language="en",
            fp16=False,
            beam_size=beam_size,
            prompt=english.encode(prompt) if prompt else None,
            max_initial_timestamp=50 * 30 / states.shape[1],  # it takes the states for 30 s
        )
        wanted = whisper.decode(of_length(reference, states.shape[1]), states[n], options)
        assert found[n].tokens == wanted.tokens
        assert found[n].avg_logprob == pytest.approx(wanted.avg_logprob, abs=1e-4)
        assert silence[n] == pytest.approx(wanted.no_speech_prob, abs=1e-4)
    lengths = [len(each.tokens) for each in found]
    assert max(lengths) > 2 * min(lengths), "windows that finish early are what is tried here"


@pytest.fixture(scope="module")
def small() -> Decoder:
    return Decoder(random_model(16), EXACT)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.randn(5, 20, 32, generator=torch.Generator().manual_seed(7))


def search(
    decoder: Decoder, noise: Tensor, kind: str, places: Sequence[int], most: int = MOST
) -> list[Written]:
    """Write for some of the windows, side by side."""
    width = 1 if kind == "greedy" else 4
    batch = Batch(decoder, decoder.cross_memory(noise[list(places)]), width=width, length=most + 8)
    rules: Any = Rules(VOCABULARY, CPU)
    logits, _ = batch.begin([[1 + n] * (1 + n) for n in places], -1)
    if kind == "sample":
        return [
            likeliest(each)
            for each in sample(
                batch, rules, logits, most, temperatures=[1.0] * batch.width, seeds=[100 + n for n in places]
            )
        ]
    return (greedy if kind == "greedy" else beams)(batch, rules, logits, most)


@pytest.mark.parametrize("kind", ["greedy", "beams", "sample"])
def test_a_window_is_written_as_if_it_were_alone(small: Decoder, noise: Tensor, kind: str) -> None:
    together = search(small, noise, kind, range(5))
    lengths = {len(each.tokens) for each in together}
    assert len(lengths) > 2, "they are to end at different times"
    for n, found in enumerate(together):
        (alone,) = search(small, noise, kind, [n])
        assert alone.tokens == found.tokens
        assert alone.logprob == pytest.approx(found.logprob, abs=1e-3)
    swapped = search(small, noise, kind, [4, 1])
    assert [each.tokens for each in swapped] == [together[4].tokens, together[1].tokens]


@pytest.mark.parametrize("kind", ["greedy", "beams", "sample"])
def test_no_more_is_written_than_there_is_room_for(small: Decoder, noise: Tensor, kind: str) -> None:
    for most in (1, 2, 5):
        found = search(small, noise, kind, range(5), most)
        assert len(found) == 5
        assert max(len(each.tokens) for each in found) <= most


def test_only_as_many_ended_sequences_count_as_there_are_beams_and_those_the_likeliest() -> None:
    open_ = [_Open([1], -1.0), _Open([2], -1.5), _Open([3], -2.0)]
    best = [[-0.1, -0.2, -0.3, -9.0], [-0.1, -0.9, -1.0, -9.0], [-0.1, -1.0, -2.0, -9.0]]
    tokens = [[40, 5, 6, 7], [40, 5, 6, 7], [40, 5, 6, 7]]
    done = [Written([9], -3.0)]
    kept = _extend(open_, best, tokens, done, 40, False)
    assert [(source, each.tokens) for source, each in kept] == [(0, [1, 5]), (0, [1, 6]), (1, [2, 5])]
    assert [each.logprob for _, each in kept] == pytest.approx([-1.2, -1.3, -2.4])
    assert [each.tokens for each in done] == [[9], [1], [2]], "the third is not as likely"


def test_beams_find_what_is_likelier_than_what_the_greedy_find(small: Decoder, noise: Tensor) -> None:
    wide, narrow = (search(small, noise, kind, range(5)) for kind in ("beams", "greedy"))
    gains = [one.avg_logprob - two.avg_logprob for one, two in zip(wide, narrow, strict=True)]
    assert sum(gains) > 0.1


def test_samples_follow_the_seed_and_the_temperature(small: Decoder, noise: Tensor) -> None:
    rules: Any = Rules(VOCABULARY, CPU)

    def draw(seed: int, temperature: float) -> list[int]:
        batch = Batch(small, small.cross_memory(noise[:1]), width=2, length=MOST + 8)
        logits, _ = batch.begin([[1]], -1)
        return likeliest(
            sample(batch, rules, logits, MOST, temperatures=[temperature] * batch.width, seeds=[seed])[0]
        ).tokens

    assert draw(1, 0.9) == draw(1, 0.9)
    assert len({tuple(draw(seed, 1.0)) for seed in range(6)}) > 1
    assert draw(3, 1e-4) == search(small, noise, "greedy", [0])[0].tokens


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_draws_are_as_frequent_as_they_are_likely(temperature: float) -> None:
    rules: Any = Rules(VOCABULARY, CPU)
    count = 4000
    chance = torch.Generator().manual_seed(1)
    logits = torch.randn(1, VOCABULARY.timestamp_begin + TIMES, generator=chance)
    likely = rules.log_probabilities(rules.apply(logits.clone(), State(rules, 1, CPU)))[0]
    batch: Any = SimpleNamespace(width=count, windows=[0])
    draw = _Drawn(temperature, [chance])
    tokens, logprobs = draw(rules, logits.repeat(count, 1), State(rules, count, CPU), batch)
    seen = torch.bincount(tokens, minlength=logits.shape[1])[VOCABULARY.timestamp_begin :] / count
    wanted = (likely[VOCABULARY.eot + 1 :] / temperature).softmax(0)
    torch.testing.assert_close(seen, wanted, atol=0.02, rtol=0)
    places = tokens - VOCABULARY.timestamp_begin + VOCABULARY.eot + 1
    assert torch.equal(logprobs, likely[places]), "how likely each is does not depend on the temperature"


def test_a_sequence_that_repeats_a_few_tokens_is_a_loop_and_a_long_or_varied_one_is_not() -> None:
    assert _Open([7] * 60).loops
    assert _Open([1, 2, 3, *([4, 5, 6, 7] * 15)]).loops
    assert not _Open([4, 5, 6, 7] * 14).loops, "too short to be sure"
    assert not _Open(list(range(16)) * 4).loops, "so long a phrase may well be said again"
    assert not _Open([*([4, 5, 6, 7] * 14), 8, 9, 10, 11]).loops


def test_a_sequence_in_a_loop_is_stopped_and_counts_only_if_all_are() -> None:
    looping, sober = Written([7] * 60, -1.0, loops=True), Written([1, 2], -9.0)
    assert likeliest([looping, sober]) is sober
    assert likeliest([looping]) is looping


def test_a_window_in_a_loop_is_left_long_before_the_last_token() -> None:
    model = random_model()
    model.decoder.positional_embedding.zero_()  # nothing tells one step from the next: it says the same for ever
    decoder = Decoder(model, EXACT)
    memory = decoder.cross_memory(torch.randn(1, 10, 32, generator=torch.Generator().manual_seed(1)))
    batch = Batch(decoder, memory, length=400)
    opened = [[_Open()]]
    for _ in range(200):
        if _note(batch, opened, [5], [-0.1], [opened[0][0].loops], 9)[0]:
            break
    assert len(opened[0][0].tokens) == 60
