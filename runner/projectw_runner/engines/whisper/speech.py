"""Where someone speaks: Silero's detector, its weights from the package silero-vad, run by torch. Imports torch.

The network is the package's own for 16 kHz (silero_vad/tinygrad_model.py): it judges 32 ms at a time with a memory of
what came before. We give it blocks of half a minute, each with a second of what came before, so that the
judgement of a block does not depend on where the work began.
"""

import json
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

CHUNK: Final = 512
"""Samples that are judged together, 32 ms."""

BLOCK: Final = 960 * CHUNK
"""Samples of a block, 30.72 s; blocks are counted from the start of the recording."""

WARM_UP: Final = 32 * CHUNK
"""Samples before a block that are heard with it, about 1 s, if it has any."""

_CONTEXT: Final = 64
_BANDS: Final = 129
_HIDDEN: Final = 128


class SpeechDetector:
    """Tells for each 32 ms how likely it is that someone speaks."""

    def __init__(self) -> None:
        weights = _weights()
        self._spectrum = weights["stft_conv.weight"]
        self._layers = [
            (weights[f"conv{n}.weight"], weights[f"conv{n}.bias"], stride)
            for n, stride in ((1, 1), (2, 2), (3, 2), (4, 1))
        ]
        self._memory = nn.LSTM(_HIDDEN, _HIDDEN)
        self._memory.load_state_dict(
            {
                f"{name}_l0": weights[f"lstm_cell.{name}"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
        )
        self._memory.requires_grad_(False)
        self._last = weights["final_conv.weight"][:, :, 0], weights["final_conv.bias"]

    @torch.inference_mode()
    def listen(self, samples: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a probability for each chunk of a block, the last one filled up with silence.

        ``before``: up to ``WARM_UP`` samples that come before the block, whole chunks.
        """
        heard = np.concatenate([before, samples, np.zeros(-len(samples) % CHUNK, np.float32)])
        padded = np.concatenate([np.zeros(_CONTEXT, np.float32), heard])
        chunks = torch.from_numpy(padded).unfold(0, _CONTEXT + CHUNK, CHUNK)
        x = functional.pad(chunks, (0, _CONTEXT), "reflect").unsqueeze(1)
        parts = functional.conv1d(x, self._spectrum, stride=128)
        x = (parts[:, :_BANDS].square() + parts[:, _BANDS:].square()).sqrt()
        for weight, bias, stride in self._layers:
            x = functional.conv1d(x, weight, bias, stride=stride, padding=1).relu()
        states, _ = self._memory(x.transpose(1, 2))
        found: Tensor = functional.linear(states[:, 0].relu(), *self._last).sigmoid()[:, 0]
        probabilities: NDArray[np.float32] = found[len(before) // CHUNK :].numpy()
        return probabilities


def _weights() -> dict[str, Tensor]:
    """Read the package's weights (format: https://github.com/huggingface/safetensors#format) without importing it."""
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise ImportError("the package silero-vad is missing: pip install 'project-w[runner]'")
    data = (Path(package.origin).parent / "data" / "silero_vad_16k.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    body = bytearray(data[8 + length :])
    table = json.loads(data[8 : 8 + length])
    return {
        name: torch.frombuffer(
            body, dtype=torch.float32, count=int(np.prod(entry["shape"])), offset=entry["data_offsets"][0]
        ).view(entry["shape"])
        for name, entry in table.items()
        if name != "__metadata__"
    }
