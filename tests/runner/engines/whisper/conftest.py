"""What the tests of the engine whisper share: the smallest real weights, in our hands and in OpenAI's."""

from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from numpy.typing import NDArray
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from projectw_runner.engines.whisper.loading import Network, network_of, read_vocabulary
from projectw_runner.engines.whisper.windows import Window
from tests.runner.conftest import Spoken
from tests.runner.engines.whisper.small import RATE

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def reference(tiny_en: Path) -> Whisper:
    """OpenAI's own model, in float32."""
    read_vocabulary(False, 99)
    model = whisper.load_model(str(tiny_en), device="cpu")
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny.en"])
    return model.requires_grad_(False)


@pytest.fixture(scope="session")
def network(reference: Whisper) -> Network:
    """The same weights in our hands, in float32."""
    return network_of(reference, "tiny.en", CPU, "float32")


@pytest.fixture(scope="session")
def english() -> Tokenizer:
    read_vocabulary(False, 99)
    return get_tokenizer(multilingual=False, num_languages=99, language="en", task="transcribe")


@pytest.fixture(scope="session")
def multilingual() -> Tokenizer:
    read_vocabulary(True, 99)
    return get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")


@pytest.fixture(scope="session")
def clips(librivox: list[Spoken]) -> list[NDArray[np.float32]]:
    """Speech of very different lengths: 7 s, 3 s, and 17 s."""
    pause = np.zeros(RATE // 2, np.float32)
    long = np.concatenate([librivox[0].samples, pause, librivox[3].samples, pause, librivox[4].samples])
    return [librivox[0].samples, librivox[1].samples, long[: 20 * RATE]]


@pytest.fixture(scope="session")
def windows(clips: list[NDArray[np.float32]]) -> list[Window]:
    """The clips as windows, one behind the other, spoken from end to end."""
    made, start = [], 0
    for samples in clips:
        end = start + len(samples)
        made.append(Window(start, samples, ((start / RATE, end / RATE),)))
        start = end
    return made
