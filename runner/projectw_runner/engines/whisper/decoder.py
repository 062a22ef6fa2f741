"""Whisper's decoder, driven by us: many windows at once, each token for the price of its arithmetic. Imports torch.

Keys and values are written into memory that is set aside once; a window that is finished leaves, and what is left
moves together, so that a step costs what the windows still open cost. The beams of a window share its keys and values.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from whisper.model import Whisper

from projectw_runner.engines.whisper.arithmetic import Arithmetic, Projection
from projectw_runner.engines.whisper.encoder import normed


class Decoder:
    """The weights of ``model`` for decoding; what belongs to a batch of windows is a ``Batch``."""

    def __init__(self, model: Whisper, arithmetic: Arithmetic) -> None:
        source: Any = model.decoder
        self.dims = model.dims
        self.arithmetic = arithmetic
        self.device = model.device
        self.embedding: Tensor = source.token_embedding.weight
        self.positions: Tensor = source.positional_embedding
        self.layers = [_Layer(block, model.dims.n_text_head, arithmetic) for block in source.blocks]
        self._norm = source.ln
        self._vocabulary: Projection = arithmetic.projection(self.embedding)
        # Keys and values of all layers come of one product: the states are brought to eight bits once.
        self._cross = arithmetic.projection(
            torch.cat([part for block in source.blocks for part in _cross_weights(block)]),
            torch.cat([part for block in source.blocks for part in _cross_biases(block)]),
        )

    def logits(self, x: Tensor) -> Tensor:
        """Return how likely each token of the vocabulary is after each of the rows of ``x``, in float32."""
        return self._vocabulary(normed(self._norm, x)).float()

    def cross_memory(self, states: Tensor) -> Tensor:
        """Return the keys and values of states, windows × states × width.

        They come as layers × 2 × windows × heads × states × width of a head.
        """
        windows, frames, width = states.shape
        heads, layers = self.dims.n_text_head, len(self.layers)
        memory = torch.empty(
            layers,
            2,
            windows,
            heads,
            frames,
            width // heads,
            dtype=self.arithmetic.attention,
            device=states.device,
        )
        for window in range(windows):
            made = self._cross(states[window]).view(frames, layers, 2, heads, -1)
            memory[:, :, window] = made.permute(1, 2, 3, 0, 4)
        return memory


def _cross_weights(block: Any) -> tuple[Tensor, Tensor]:
    return block.cross_attn.key.weight, block.cross_attn.value.weight


def _cross_biases(block: Any) -> tuple[Tensor, Tensor]:
    bias = block.cross_attn.value.bias
    return torch.zeros_like(bias), bias


class _Layer:
    """One layer: ``rows`` are tokens of sequences × width, one after the other."""

    def __init__(self, block: Any, heads: int, arithmetic: Arithmetic) -> None:
        own, cross = block.attn, block.cross_attn
        scale = (own.query.weight.shape[0] // heads) ** -0.5
        self._heads = heads
        self.norm, self.cross_norm, self.mlp_norm = block.attn_ln, block.cross_attn_ln, block.mlp_ln
        self.qkv = arithmetic.projection(
            torch.cat([own.query.weight * scale, own.key.weight, own.value.weight]),
            torch.cat([own.query.bias * scale, torch.zeros_like(own.query.bias), own.value.bias]),
        )
        self.out = arithmetic.projection(own.out.weight, own.out.bias)
        self.query = arithmetic.projection(cross.query.weight * scale, cross.query.bias * scale)
        self.cross_out = arithmetic.projection(cross.out.weight, cross.out.bias)
        self.up = arithmetic.projection(block.mlp[0].weight, block.mlp[0].bias)
        self.down = arithmetic.projection(block.mlp[2].weight, block.mlp[2].bias)


class Batch:
    """Sequences that are written side by side: ``width`` of them, beams or samples, for each window.

    ``memory`` is what ``Decoder.cross_memory`` has made of the windows; it is taken over and rearranged.
    The sequences of a window lie together; ``windows`` names those still open, in the order of their rows.
    """

    def __init__(self, decoder: Decoder, memory: Tensor, *, width: int = 1, length: int) -> None:
        self.decoder = decoder
        self.windows = list(range(memory.shape[2]))
        self.width = width
        self._memory = memory
        dims = decoder.dims
        kind = torch.float32 if memory.device.type == "cpu" else decoder.arithmetic.stream
        self._own = torch.empty(
            dims.n_text_layer,
            2,
            len(self.windows) * width,
            dims.n_text_head,
            length,
            dims.n_text_state // dims.n_text_head,
            dtype=kind,
            device=memory.device,
        )
        self._length = 0
        self._padding: Tensor | None = None

    @torch.inference_mode()
    def begin(self, prompts: Sequence[Sequence[int]], at: int) -> tuple[Tensor, Tensor]:
        """Read each window's prompt; return the logits after its last token, and after the one ``at`` from its end.

        ``at`` is negative: -1 is the last token itself. Rows are windows: the sequences of one are still the same.
        """
        longest = max(map(len, prompts))
        device = self._own.device
        tokens = torch.tensor([[0] * (longest - len(each)) + list(each) for each in prompts], device=device)
        padding = torch.tensor([longest - len(each) for each in prompts], device=device)
        places = torch.arange(longest, device=device)
        mask = torch.ones(longest, longest, dtype=torch.bool, device=device).tril_()
        if int(padding.max()):
            self._padding = padding
            mask = mask & (
                (places >= padding[:, None])[:, None, None, :]
                | torch.eye(longest, dtype=torch.bool, device=device)
            )
        positions = (places - padding[:, None]).clamp_(min=0)
        x = self._run(tokens, positions, mask, len(prompts))
        self._length = longest
        if self.width > 1:
            read = self._own[:, :, : len(prompts), :, :longest]
            self._own[..., :longest, :] = read.repeat_interleave(self.width, 2)
            if self._padding is not None:
                self._padding = self._padding.repeat_interleave(self.width)
        last = self.decoder.logits(x[:, -1])
        return last, last if at == -1 else self.decoder.logits(x[:, at])

    @torch.inference_mode()
    def align(self, tokens: Sequence[Sequence[int]], heads: Tensor) -> tuple[Tensor, Tensor]:
        """Let the model read what was written in each window; return the states of its tokens, and where it looked.

        For a batch that nothing was done with yet. ``heads``: pairs of layer and head. The second result is windows ×
        heads × tokens × states, before the softmax. Shorter rows are filled up behind; what stands there means nothing.
        """
        longest = max(map(len, tokens))
        device = self._own.device
        filled = torch.tensor([list(each) + [0] * (longest - len(each)) for each in tokens], device=device)
        mask = torch.ones(longest, longest, dtype=torch.bool, device=device).tril_()
        looks = _Looks(heads.tolist())
        x = self._run(filled, torch.arange(longest, device=device)[None], mask, len(tokens), looks)
        return x, looks.stacked()

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """Write one token to each sequence, in the order of the rows; return the logits after it."""
        rows = len(self.windows) * self.width
        position = torch.full((rows, 1), self._length, device=tokens.device)
        mask = None
        if self._padding is not None:
            padding = self._padding[:rows]
            position = position - padding[:, None]
            mask = (torch.arange(self._length + 1, device=tokens.device) >= padding[:, None])[
                :, None, None, :
            ]
        x = self._run(tokens[:, None], position, mask, rows)
        self._length += 1
        return self.decoder.logits(x[:, 0])

    def reorder(self, sources: Tensor) -> None:
        """Let each row go on from what the row ``sources[row]`` has written; both belong to the same window."""
        rows = len(sources)
        kept = self._own[:, :, :rows, :, : self._length]
        kept.copy_(kept.index_select(2, sources))

    def leave(self, window: int) -> int:
        """Take a window out; the last one moves to its rows. Return the place where it was."""
        place, last = self.windows.index(window), len(self.windows) - 1
        if place != last:
            self._memory[:, :, place] = self._memory[:, :, last]
            here, there = (slice(n * self.width, (n + 1) * self.width) for n in (place, last))
            self._own[:, :, here, :, : self._length] = self._own[:, :, there, :, : self._length]
            if self._padding is not None:
                self._padding[here] = self._padding[there].clone()
            self.windows[place] = self.windows[last]
        self.windows.pop()
        return place

    def _run(
        self,
        tokens: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        rows: int,
        looks: "_Looks | None" = None,
    ) -> Tensor:
        """Return what the last layer makes of ``tokens``, sequences × count, and note in ``looks`` where it looks."""
        decoder = self.decoder
        count = tokens.shape[1]
        end = self._length + count
        x = (decoder.embedding[tokens] + decoder.positions[positions]).to(decoder.arithmetic.stream)
        flat = x.view(rows * count, -1)
        for number, layer in enumerate(decoder.layers):
            qkv = layer.qkv(normed(layer.norm, flat)).view(rows, count, 3, decoder.dims.n_text_head, -1)
            queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
            own = self._own[number, :, :rows]
            own[0, :, :, self._length : end] = keys
            own[1, :, :, self._length : end] = values
            found = functional.scaled_dot_product_attention(
                queries.to(own.dtype), own[0, :, :, :end], own[1, :, :, :end], attn_mask=mask, scale=1.0
            )
            flat += layer.out(found.transpose(1, 2).reshape(rows * count, -1))
            flat += layer.cross_out(self._look(number, layer, flat, rows * count, looks))
            flat += layer.down(functional.gelu(layer.up(normed(layer.mlp_norm, flat))))
        return x

    def _look(self, number: int, layer: _Layer, flat: Tensor, rows: int, looks: "_Looks | None") -> Tensor:
        """Return what each row finds in its window."""
        keys, values = self._memory[number, :, : len(self.windows)]
        windows, heads = keys.shape[:2]
        queries = layer.query(normed(layer.cross_norm, flat)).view(windows, rows // windows, heads, -1)
        queries = queries.transpose(1, 2).to(keys.dtype)
        if looks is not None:
            looks.note(number, queries, keys)
        if keys.dtype == torch.bfloat16 and keys.device.type == "cpu":
            # torch's fused attention is slow at halves for few queries.
            found = torch.softmax(queries @ keys.transpose(-1, -2), -1) @ values
        else:
            found = functional.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        seen: Tensor = found.transpose(1, 2).reshape(rows, -1).to(flat.dtype)
        return seen


class _Looks:
    """Where some heads look, before the softmax; those of all layers would fill a card."""

    def __init__(self, heads: list[list[int]]) -> None:
        self._heads = heads
        self._seen: dict[tuple[int, int], Tensor] = {}

    def note(self, layer: int, queries: Tensor, keys: Tensor) -> None:
        for wanted, head in self._heads:
            if wanted == layer:
                self._seen[layer, head] = (queries[:, head] @ keys[:, head].transpose(-1, -2)).float()

    def stacked(self) -> Tensor:
        """Return windows × heads × tokens × states."""
        return torch.stack([self._seen[layer, head] for layer, head in self._heads], 1)
