"""What may be written next is what the reference's filters leave."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from whisper.decoding import ApplyTimestampRules, SuppressBlank, SuppressTokens
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.rules import Rules, State

CPU = torch.device("cpu")


def histories(chance: torch.Generator, tokenizer: Tokenizer, rows: int, count: int) -> Iterator[list[int]]:
    """Yield tokens as a model may have written them: times in pairs that go on, text between them."""

    def below(most: int) -> int:
        return int(torch.randint(0, max(most, 1), (), generator=chance))

    for _ in range(rows):
        time, written = below(50), []
        kind = "begin"
        while len(written) < count:
            if kind == "begin":
                written.append(tokenizer.timestamp_begin + time)
                kind = "text"
            elif kind == "text":
                written.append(below(tokenizer.eot))
                kind = "text" if below(3) else "end"
            else:
                time = min(time + 1 + below(30), 1500)
                written.append(tokenizer.timestamp_begin + time)
                kind = "begin"
                time = min(time + below(2), 1500)
        yield written


def reference(tokenizer: Tokenizer, logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log probabilities after the filters of ``whisper.decoding``."""
    specials = [tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev]
    never = [*tokenizer.non_speech_tokens, *specials, tokenizer.sot_lm, tokenizer.no_speech]
    filters = [
        SuppressBlank(tokenizer, 0),
        SuppressTokens(never),
        ApplyTimestampRules(tokenizer, 0, 50),
    ]
    # The names of languages are no text; the reference only never meets one.
    logits[:, list(tokenizer.all_language_tokens)] = float("-inf")
    for each in filters:
        each.apply(logits, tokens)
    return logits.log_softmax(-1)


def spread(rules: Rules, listed: Tensor, vocabulary: int) -> Tensor:
    """Return a list of candidates as rows × vocabulary."""
    whole = torch.full((len(listed), vocabulary), float("-inf"))
    whole[:, rules.token_of(torch.arange(listed.shape[1]))] = listed
    return whole


@pytest.fixture(scope="module", params=["english", "multilingual"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    made: Tokenizer = request.getfixturevalue(request.param)
    return made


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 9),
    spread_of_logits=st.floats(0.5, 8),
    lean=st.floats(-10, 10),
)
def test_log_probabilities_and_the_likeliest_token_are_the_references(
    tokenizer: Tokenizer, seed: int, count: int, spread_of_logits: float, lean: float
) -> None:
    chance = torch.Generator().manual_seed(seed)
    rules, rows, vocabulary = Rules(tokenizer, CPU), 3, tokenizer.timestamp_begin + 1501
    tokens = torch.tensor(list(histories(chance, tokenizer, rows, count)), dtype=torch.long)
    tokens = tokens.view(rows, count)
    logits = spread_of_logits * torch.randn(rows, vocabulary, generator=chance)
    logits[:, tokenizer.timestamp_begin :] += lean
    logits[:, tokenizer.eot] += lean / 2
    state = State(rules, rows, CPU)
    for column in tokens.T:
        state.wrote(column)
    wanted = reference(tokenizer, logits.clone(), tokens)
    candidates = rules.apply(logits, state)
    found = spread(rules, rules.log_probabilities(candidates), vocabulary)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)
    token, logprob = rules.best(candidates)
    assert token.tolist() == wanted.argmax(1).tolist()
    torch.testing.assert_close(logprob, wanted.amax(1), atol=1e-4, rtol=1e-5)


def test_the_first_token_is_a_time_in_the_first_second(english: Tokenizer) -> None:
    rules = Rules(english, CPU)
    vocabulary = english.timestamp_begin + 1501
    logits = torch.zeros(1, vocabulary)
    logits[0, 100] = logits[0, english.timestamp_begin + 51] = 50.0
    logits[0, english.timestamp_begin + 50] = 1.0
    token, _ = rules.best(rules.apply(logits, State(rules, 1, CPU)))
    assert token.tolist() == [english.timestamp_begin + 50]


def test_a_row_that_takes_anothers_place_takes_its_history(english: Tokenizer) -> None:
    begin = english.timestamp_begin
    rules = Rules(english, CPU)
    written = torch.tensor([[begin, begin, begin], [5, begin + 9, 6], [begin + 40, 7, begin + 7]])
    state, alone = State(rules, 3, CPU), State(rules, 2, CPU)
    rows = torch.tensor([2, 0])
    for column in written:
        state.wrote(column)
        alone.wrote(column[rows])
    state.keep(rows)
    assert torch.equal(state.forbidden_times(1501), alone.forbidden_times(1501))
    assert torch.equal(state.only_end, alone.only_end)
    assert state.only_end.tolist() == [True, True]


def test_a_segment_has_a_length_and_the_next_may_begin_where_it_ends(english: Tokenizer) -> None:
    begin = english.timestamp_begin
    rules = Rules(english, CPU)
    state = State(rules, 1, CPU)

    def allowed() -> list[int]:
        return (~state.forbidden_times(1501)).nonzero()[:, 1].tolist()

    state.wrote(torch.tensor([begin + 10]))
    assert allowed() == []
    state.wrote(torch.tensor([5]))
    assert allowed()[0] == 11
    state.wrote(torch.tensor([begin + 20]))
    assert allowed()[0] == 20
    state.wrote(torch.tensor([begin + 20]))
    assert allowed() == []
    state.wrote(torch.tensor([5]))
    assert allowed()[0] == 21
