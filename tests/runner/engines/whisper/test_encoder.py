"""The encoder driven by us hears what the reference's hears."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from whisper.audio import log_mel_spectrogram
from whisper.model import Whisper

from projectw_runner.engines.whisper.arithmetic import Arithmetic
from projectw_runner.engines.whisper.encoder import Encoder
from projectw_runner.engines.whisper.hearing import TRIMMED, UNTRIMMED, WHOLE, spectrograms
from projectw_runner.engines.whisper.loading import Network
from projectw_runner.engines.whisper.windows import Window
from tests.runner.engines.whisper.small import RATE, random_model

pytestmark = pytest.mark.model

CPU = torch.device("cpu")
EXACT = Arithmetic("float32", torch.float32, torch.float32)


@pytest.fixture(scope="module")
def mel(windows: list[Window]) -> Tensor:
    return spectrograms(windows[:1], WHOLE, bands=80, device=CPU)


@pytest.fixture(scope="module")
def states(reference: Whisper, mel: Tensor) -> Tensor:
    """What OpenAI's encoder makes of 7 s of speech and silence behind it."""
    with torch.inference_mode():
        found: Tensor = reference.encoder(mel)
    return found


def likeness(one: Tensor, two: Tensor) -> Tensor:
    """Return the cosine of the angle between each two states."""
    return torch.nn.functional.cosine_similarity(one.float(), two.float(), dim=-1)


def test_whole_numbers_give_the_references_states(network: Network, mel: Tensor, states: Tensor) -> None:
    torch.testing.assert_close(network.encoder(mel), states, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("products", "attention"),
    [("int8", torch.bfloat16), ("int8", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_coarser_numbers_give_nearly_the_same(
    reference: Whisper, mel: Tensor, states: Tensor, products: str, attention: torch.dtype
) -> None:
    found = Encoder(reference, Arithmetic(products, attention, torch.float32))(mel)
    assert found.dtype == torch.float32
    assert float(likeness(found, states).mean()) > 0.99
    assert float(likeness(found, states)[0, :350].min()) > 0.9


def test_speech_sounds_the_same_with_less_silence_behind_it(
    network: Network, windows: list[Window], states: Tensor
) -> None:
    frames = TRIMMED.frames(windows[:1])
    assert windows[0].frames + 400 <= frames < windows[0].frames + 400 + 128
    short = network.encoder(spectrograms(windows[:1], frames, bands=80, device=CPU))
    assert short.shape[1] == frames // 2
    spoken = windows[0].frames // 2
    assert float(likeness(short[0, :spoken], states[0, :spoken]).mean()) > 0.9


def test_windows_side_by_side_are_heard_as_each_alone(network: Network, windows: list[Window]) -> None:
    frames = TRIMMED.frames(windows[:2])
    mels = spectrograms(windows[:2], frames, bands=80, device=CPU)
    together = network.encoder(mels)
    for n in range(2):
        torch.testing.assert_close(network.encoder(mels[n : n + 1])[0], together[n], atol=1e-4, rtol=1e-4)


def test_the_way_of_a_card_gives_what_the_way_of_the_cpu_does() -> None:
    model = random_model()
    encoder = Encoder(model, EXACT)
    x = torch.randn(2, 50, 32, generator=torch.Generator().manual_seed(1))
    one, many = x.clone(), x.clone()
    with torch.inference_mode():
        for layer in encoder._layers:
            for window in one:
                layer.one(window)
            layer.many(many)
    torch.testing.assert_close(one, many, atol=1e-4, rtol=1e-4)
    assert not torch.equal(one, x)


def test_a_spectrogram_is_the_references_with_silence_behind_the_samples(
    clips: list[NDArray[np.float32]], windows: list[Window]
) -> None:
    (made,) = spectrograms(windows[1:2], WHOLE, bands=80, device=CPU)
    wanted = log_mel_spectrogram(clips[1], padding=WHOLE * 160 - len(clips[1]))
    assert torch.equal(made, wanted)


def test_a_quiet_window_is_not_judged_by_a_loud_one_beside_it(windows: list[Window]) -> None:
    quiet = Window(0, windows[1].samples * 1e-3)
    alone = spectrograms([quiet], 800, bands=80, device=CPU)[0]
    beside = spectrograms([windows[0], quiet], 800, bands=80, device=CPU)[1]
    assert torch.equal(alone, beside)


def test_a_window_is_cut_to_the_frames_that_are_asked_for(windows: list[Window]) -> None:
    assert spectrograms(windows, 100, bands=80, device=CPU).shape == (3, 80, 100)


def test_a_view_holds_the_longest_window_and_never_more_than_half_a_minute(windows: list[Window]) -> None:
    longest = max(window.frames for window in windows)
    assert TRIMMED.frames(windows) >= longest + 400
    assert TRIMMED.frames(windows) % 128 == 0
    assert TRIMMED.frames([Window(0, np.zeros(29 * RATE, np.float32))]) == WHOLE
    assert UNTRIMMED.frames(windows[1:2]) == WHOLE
