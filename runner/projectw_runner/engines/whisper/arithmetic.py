"""The numbers that the model's products are made of, on each device those that are quickest. Imports torch.

A transcript is as good with eight bits a weight as with 32 when each row of the input and each column of the weight
has a scale of its own (Dettmers et al. 2022, vector-wise quantisation), and on a processor with VNNI the product takes
a quarter of the time. What is quickest differs from processor to processor, so it is measured when weights are loaded.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from projectw_runner.engines import Unsupported

ROWS: Final = 256
"""Rows of a long input that are worked on at a time on the CPU, so that what lies between stays in its cache."""

_LEVELS: Final = 127.0
_SMALLEST: Final = 1e-12

_TRIAL_ROWS: Final = 768
_TRIAL_ROUNDS: Final = 3


class Projection(Protocol):
    """A linear layer: rows × inputs → rows × outputs."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the product with the weights, the bias added."""


class Plain:
    """Weights kept and multiplied in one floating-point type."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._weight = weight.to(dtype)
        self._bias = None if bias is None else bias.to(dtype)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the product in the weights' type."""
        return functional.linear(rows.to(self._weight.dtype), self._weight, self._bias)


class Quantized:
    """Weights of eight bits, a scale for each output; the input is brought to eight bits row by row.

    A row's result does not depend on the rows beside it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        weight = weight.float()
        scale = weight.abs().amax(1).div_(_LEVELS).clamp_(min=_SMALLEST)
        self._weight = (weight / scale[:, None]).round_().to(torch.int8).t()
        self._scale = scale
        self._bias = torch.zeros_like(scale) if bias is None else bias.float()

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the product in float32."""
        out = torch.empty(len(rows), len(self._scale))
        for piece, target in zip(torch.split(rows, ROWS), torch.split(out, ROWS), strict=True):
            self._product(piece, target)
        return out

    def _product(self, rows: Tensor, out: Tensor) -> None:
        scale = rows.abs().amax(-1, keepdim=True).div_(_LEVELS).clamp_(min=_SMALLEST)
        product = torch._int_mm((rows / scale).round_().to(torch.int8), self._weight)
        torch.mul(product, scale, out=out)
        torch.addcmul(self._bias, out, self._scale, out=out)


@dataclass(frozen=True)
class Arithmetic:
    """How a model computes.

    ``products``: float32, bfloat16, float16 or int8, of the linear layers. ``attention``: the type of keys, queries
    and values. ``stream``: the type of what flows between the layers.
    """

    products: str
    attention: torch.dtype
    stream: torch.dtype

    def projection(self, weight: Tensor, bias: Tensor | None = None) -> Projection:
        """Return the layer with these weights, outputs × inputs."""
        if self.products == "int8":
            return Quantized(weight, bias)
        return Plain(weight, bias, getattr(torch, self.products))

    def delicate(self, weight: Tensor, bias: Tensor) -> Projection:
        """Return a layer that eight bits would hurt: what the encoder looks by.

        Some of the numbers that come into it are far larger than the others. With base, eight bits here alone made
        half of their error in all layers, and cost 0.8 points of word error rate; without, they cost 0.1.
        """
        if self.products == "int8":
            return Plain(weight, bias, self.attention)
        return self.projection(weight, bias)

    def __str__(self) -> str:
        return self.products


def check(wish: str, device: torch.device) -> None:
    """Raise ``Unsupported`` for a precision that the device does not compute with, or slowly."""
    if device.type == "cpu" and wish == "float16":
        raise Unsupported(
            "precision", "float16 is for graphics cards; on the CPU use auto, int8, bfloat16 or float32"
        )
    if device.type != "cpu" and wish == "int8":
        raise Unsupported(
            "precision", "int8 is for the CPU; on a graphics card use auto, float16, bfloat16 or float32"
        )


def choose(wish: str, device: torch.device, width: int) -> Arithmetic:
    """Return the arithmetic for ``auto`` or a precision by name. ``width``: numbers that a frame is for the model.

    Raises ``Unsupported`` for what the device cannot do.
    """
    check(wish, device)
    if device.type != "cpu":
        dtype = torch.float16 if wish == "auto" else getattr(torch, wish)
        return Arithmetic(str(dtype).removeprefix("torch."), dtype, dtype)
    if wish == "float32":
        return Arithmetic(wish, torch.float32, torch.float32)
    products = _quickest_product(width) if wish == "auto" else wish
    attention = torch.bfloat16 if _half_is_quicker() else torch.float32
    return Arithmetic(products, attention, torch.float32)


def _quickest_product(width: int) -> str:
    rows, weight = torch.randn(_TRIAL_ROWS, width), torch.randn(4 * width, width)
    layers: dict[str, Projection] = {
        "float32": Plain(weight, None, torch.float32),
        "bfloat16": Plain(weight, None, torch.bfloat16),
        "int8": Quantized(weight, None),
    }
    costs = {name: _cost(lambda layer=layer: layer(rows)) for name, layer in layers.items()}  # type: ignore[misc]
    return min(costs, key=costs.__getitem__)


def _half_is_quicker() -> bool:
    whole = torch.randn(_TRIAL_ROWS, _TRIAL_ROWS)
    half = whole.bfloat16()
    return _cost(lambda: half @ half) < 0.8 * _cost(lambda: whole @ whole)


def _cost(work: Callable[[], object]) -> float:
    """Return the least processor time that ``work`` took, in seconds: others' load does not count."""
    least = float("inf")
    for _ in range(1 + _TRIAL_ROUNDS):
        started = time.thread_time()
        work()
        least = min(least, time.thread_time() - started)
    return least
