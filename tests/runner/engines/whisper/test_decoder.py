"""Many windows side by side: what each is told and what moves together when one leaves. With random weights."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch
from torch import Tensor
from whisper.model import Whisper

from projectw_runner.engines.whisper.arithmetic import Arithmetic
from projectw_runner.engines.whisper.decoder import Batch, Decoder
from tests.runner.engines.whisper.small import random_model

EXACT = Arithmetic("float32", torch.float32, torch.float32)
PROMPTS = [[1, 2], [3], [4, 5, 6, 7, 8, 9], [10, 11, 12]]
Logits = Callable[[int, list[int]], Tensor]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model() -> Whisper:
    return random_model()


@pytest.fixture(scope="module")
def decoder(model: Whisper) -> Decoder:
    return Decoder(model, EXACT)


@pytest.fixture(scope="module")
def states() -> Tensor:
    """Four windows, unlike one another."""
    return torch.randn(4, 30, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def logits(model: Whisper, states: Tensor) -> Logits:
    """Ask OpenAI's decoder what comes after some tokens in a window."""

    def ask(window: int, tokens: list[int]) -> Tensor:
        found: Tensor = model.decoder(torch.tensor([tokens]), states[window : window + 1])[0, -1]
        return found

    return ask


def batch(decoder: Decoder, states: Tensor, width: int = 1, length: int = 24) -> Batch:
    return Batch(decoder, decoder.cross_memory(states), width=width, length=length)


def close(one: Tensor, two: Tensor) -> None:
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_windows_differ(logits: Logits) -> None:
    assert not torch.allclose(logits(0, [1]), logits(1, [1]), atol=0.1)


def test_prompts_of_different_lengths_are_each_read_as_if_alone(
    decoder: Decoder, states: Tensor, logits: Logits
) -> None:
    work = batch(decoder, states)
    last, before = work.begin([[0, *each] for each in PROMPTS], -2)
    for n, prompt in enumerate(PROMPTS):
        close(last[n], logits(n, [0, *prompt]))
        close(before[n], logits(n, [0, *prompt[:-1]]))


def test_each_step_goes_on_from_what_was_written(decoder: Decoder, states: Tensor, logits: Logits) -> None:
    work = batch(decoder, states)
    work.begin(PROMPTS, -1)
    written = [list(each) for each in PROMPTS]
    for token in range(20, 25):
        tokens = [token + n for n in range(4)]
        after = work.step(torch.tensor(tokens))
        for n in range(4):
            written[n].append(tokens[n])
            close(after[n], logits(n, written[n]))


@pytest.mark.parametrize("width", [1, 3])
def test_a_window_that_leaves_changes_nothing_for_the_others(
    decoder: Decoder, states: Tensor, logits: Logits, width: int
) -> None:
    work = batch(decoder, states, width)
    work.begin(PROMPTS, -1)
    written = {n: [list(each) for _ in range(width)] for n, each in enumerate(PROMPTS)}
    token = count(1)
    for leaving in (None, 1, None, 3, 0):
        if leaving is not None:
            place = work.windows.index(leaving)
            assert work.leave(leaving) == place
            assert leaving not in work.windows
        for window in work.windows:
            for sequence in written[window]:
                sequence.append(next(token) % 40)
        after = work.step(torch.tensor([each[-1] for window in work.windows for each in written[window]]))
        expected = [logits(window, each) for window in work.windows for each in written[window]]
        close(after, torch.stack(expected))
    assert work.windows == [2]


def test_a_sequence_goes_on_from_another_of_its_window(
    decoder: Decoder, states: Tensor, logits: Logits
) -> None:
    work = batch(decoder, states, width=3)
    work.begin(PROMPTS, -1)
    work.step(torch.arange(12))
    sources = [2, 2, 0, 3, 4, 5, 8, 7, 6, 9, 9, 9]
    work.reorder(torch.tensor(sources))
    after = work.step(torch.arange(20, 32))
    for row, source in enumerate(sources):
        close(after[row], logits(row // 3, [*PROMPTS[row // 3], source, 20 + row]))


def test_where_each_window_was_looked_at_does_not_depend_on_the_others(
    model: Whisper, decoder: Decoder, states: Tensor
) -> None:
    heads = torch.tensor([[0, 1], [1, 0]])
    x, looks = batch(decoder, states).align(PROMPTS, heads)
    assert looks.shape == (4, 2, 6, 30)
    for n, tokens in enumerate(PROMPTS):
        alone, look = batch(decoder, states[n : n + 1]).align([tokens], heads)
        close(x[n, : len(tokens)], alone[0])
        close(looks[n, :, : len(tokens)], look[0])
        close(decoder.logits(alone[0]), model.decoder(torch.tensor([tokens]), states[n : n + 1])[0])


@pytest.mark.parametrize("products", ["bfloat16", "int8"])
def test_coarser_numbers_keep_the_likeliest_tokens(
    model: Whisper, states: Tensor, logits: Logits, products: str
) -> None:
    coarse = Decoder(model, Arithmetic(products, torch.bfloat16, torch.float32))
    work = batch(coarse, states)
    work.begin(PROMPTS, -1)
    after = work.step(torch.tensor([1, 2, 3, 4]))
    for n, prompt in enumerate(PROMPTS):
        wanted = logits(n, [*prompt, n + 1])
        assert float(torch.corrcoef(torch.stack([after[n], wanted]))[0, 1]) > 0.99
