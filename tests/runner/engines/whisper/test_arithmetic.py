"""The numbers that products are made of: near to each other, and each row by itself."""

import pytest
import torch
from torch import Tensor

from projectw_runner.engines import Unsupported
from projectw_runner.engines.whisper import arithmetic
from projectw_runner.engines.whisper.arithmetic import ROWS, Arithmetic, Plain, Quantized, choose

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


def layer(outputs: int = 96, inputs: int = 64) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    weight = torch.randn(outputs, inputs, generator=chance)
    weight[3] *= 50  # an output of another size than the rest
    return weight, torch.randn(outputs, generator=chance)


def rows(count: int, inputs: int = 64) -> Tensor:
    made = torch.randn(count, inputs, generator=torch.Generator().manual_seed(2))
    return made * torch.logspace(-3, 3, count)[:, None]


def test_eight_bits_are_near_to_whole_numbers_whatever_the_size_of_a_row_or_an_output() -> None:
    weight, _ = layer()
    x = rows(30)
    exact, found = Plain(weight, None, torch.float32)(x), Quantized(weight, None)(x)
    assert found.dtype == torch.float32
    usual = x.norm(dim=1, keepdim=True) * weight.norm(dim=1)
    error, size = (found - exact) / usual, exact / usual
    assert float((error.norm(dim=1) / size.norm(dim=1)).max()) < 0.02
    assert float((error.norm(dim=0) / size.norm(dim=0)).max()) < 0.03


def test_a_rows_result_does_not_depend_on_the_rows_beside_it() -> None:
    weight, bias = layer()
    product = Quantized(weight, bias)
    x = rows(ROWS + 40)
    together = product(x)
    for n in (0, 7, ROWS - 1, ROWS, ROWS + 39):
        assert torch.equal(product(x[n : n + 1])[0], together[n])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "int8"])
def test_a_bias_is_added_in_every_precision(precision: str) -> None:
    weight, bias = layer()
    made = Arithmetic(precision, torch.float32, torch.float32)
    difference = made.projection(weight, bias)(rows(8)[:2]) - made.projection(weight)(rows(8)[:2])
    torch.testing.assert_close(difference.float(), bias.expand(2, -1), atol=0.05, rtol=0.02)


def test_a_row_of_nothing_gives_the_bias() -> None:
    weight, bias = layer()
    torch.testing.assert_close(Quantized(weight, bias)(torch.zeros(2, 64)), bias.expand(2, -1))
    assert Quantized(weight, bias)(torch.zeros(0, 64)).shape == (0, 96)
    assert torch.equal(Quantized(torch.zeros(96, 64), None)(rows(2)), torch.zeros(2, 96))


@pytest.mark.parametrize("wish", ["float32", "bfloat16", "int8"])
def test_the_cpu_computes_as_it_is_told(wish: str) -> None:
    chosen = choose(wish, CPU, 64)
    assert str(chosen) == wish
    assert chosen.stream == torch.float32
    if wish == "float32":
        assert chosen.attention == torch.float32


@pytest.mark.parametrize(
    ("wish", "dtype"),
    [("auto", torch.float16), ("bfloat16", torch.bfloat16), ("float32", torch.float32)],
)
def test_a_card_computes_all_in_one_type_and_that_is_float16_unless_told(
    wish: str, dtype: torch.dtype
) -> None:
    assert choose(wish, CUDA, 64) == Arithmetic(str(dtype).removeprefix("torch."), dtype, dtype)


@pytest.mark.parametrize("quickest", ["float32", "bfloat16", "int8"])
def test_auto_takes_what_is_quickest_on_this_processor(
    monkeypatch: pytest.MonkeyPatch, quickest: str
) -> None:
    kinds = iter(["float32", "bfloat16", "int8"])
    monkeypatch.setattr(arithmetic, "_cost", lambda work: 1.0 if next(kinds, "") == quickest else 2.0)
    assert choose("auto", CPU, 8).products == quickest


def test_auto_finds_something_on_this_machine() -> None:
    assert choose("auto", CPU, 64).products in ("float32", "bfloat16", "int8")


def test_what_a_device_has_not_is_refused_with_what_it_has() -> None:
    with pytest.raises(Unsupported, match="on the CPU use auto, int8, bfloat16 or float32") as refusal:
        choose("float16", CPU, 64)
    assert refusal.value.setting == "precision"
    with pytest.raises(Unsupported, match="on a graphics card use auto, float16, bfloat16 or float32"):
        choose("int8", CUDA, 64)
