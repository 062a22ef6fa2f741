"""Whisper's encoder, driven by us: only as long as its input, in the arithmetic of the device. Imports torch."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from whisper.model import Whisper

from projectw_runner.engines.whisper.arithmetic import ROWS, Arithmetic

FRAMES_PER_STATE: Final = 2
"""Frames of the spectrogram, 10 ms each, that one state of the encoder stands for."""


def normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Return the layer's norm of ``x``, computed in its own precision and given in that of ``x``."""
    if x.dtype == norm.weight.dtype:
        return functional.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return functional.layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(
        x.dtype
    )


class Encoder:
    """Turns spectrograms into states, with the weights of ``model``."""

    def __init__(self, model: Whisper, arithmetic: Arithmetic) -> None:
        source: Any = model.encoder
        # Not the whole of it: the layers' own weights are not needed beside what the arithmetic makes of them.
        self._conv1, self._conv2, self._norm = source.conv1, source.conv2, source.ln_post
        self._positions: Tensor = source.positional_embedding
        self._arithmetic = arithmetic
        self._layers = [_Layer(block, model.dims.n_audio_head, arithmetic) for block in source.blocks]

    @torch.inference_mode()
    def __call__(self, mel: Tensor) -> Tensor:
        """Return the states of spectrograms, windows × bands × frames → windows × frames / 2 × width."""
        x = functional.gelu(self._conv1(mel.to(self._conv1.weight.dtype)))
        x = functional.gelu(self._conv2(x)).permute(0, 2, 1)
        x = (x + self._positions[: x.shape[1]]).to(self._arithmetic.stream).contiguous()
        if x.device.type == "cpu":
            for window in x:
                for layer in self._layers:
                    layer.one(window)
        else:
            for layer in self._layers:
                layer.many(x)
        return normed(self._norm, x)


class _Layer:
    def __init__(self, block: Any, heads: int, arithmetic: Arithmetic) -> None:
        attention = block.attn
        scale = (attention.query.weight.shape[0] // heads) ** -0.5
        zeros = torch.zeros_like(attention.query.bias)
        self._norm, self._mlp_norm = block.attn_ln, block.mlp_ln
        self._heads = heads
        self._kind = arithmetic.attention
        # The queries' scale lies in their weights.
        self._qkv = arithmetic.projection(
            torch.cat([attention.query.weight * scale, attention.key.weight, attention.value.weight]),
            torch.cat([attention.query.bias * scale, zeros, attention.value.bias]),
        )
        self._out = arithmetic.projection(attention.out.weight, attention.out.bias)
        self._up = arithmetic.projection(block.mlp[0].weight, block.mlp[0].bias)
        self._down = arithmetic.projection(block.mlp[2].weight, block.mlp[2].bias)

    def one(self, x: Tensor) -> None:
        """Add to one window's states, frames × width, what this layer finds."""
        frames, width = x.shape
        qkv = self._qkv(normed(self._norm, x)).view(frames, 3, self._heads, -1).to(self._kind)
        queries, keys, values = qkv.permute(1, 2, 0, 3)
        found = torch.empty(frames, self._heads, width // self._heads, dtype=self._kind)
        if self._kind == torch.float32:
            found.copy_(
                functional.scaled_dot_product_attention(queries[None], keys[None], values[None], scale=1.0)[
                    0
                ].transpose(0, 1)
            )
        else:
            # Head by head, so that the weights stay in the cache; torch's fused attention gains nothing by halves.
            weights = torch.empty(frames, frames, dtype=self._kind)
            for head in range(self._heads):
                torch.mm(queries[head], keys[head].t(), out=weights)
                torch.softmax(weights, -1, out=weights)
                found[:, head] = weights @ values[head]
        x += self._out(found.view(frames, width).to(x.dtype))
        for rows in torch.split(x, ROWS):
            hidden = self._up(normed(self._mlp_norm, rows))
            rows += self._down(functional.gelu(hidden))

    def many(self, x: Tensor) -> None:
        """The same for windows side by side, windows × frames × width."""
        windows, frames, width = x.shape
        flat = x.view(-1, width)
        qkv = self._qkv(normed(self._norm, flat)).view(windows, frames, 3, self._heads, -1)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        flat += self._out(found.transpose(1, 2).reshape(-1, width))
        flat += self._down(functional.gelu(self._up(normed(self._mlp_norm, flat))))
