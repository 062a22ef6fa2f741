"""Silero's detector in our hands: it tells speech from what is none, the same wherever the work began."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from projectw_runner.engines.whisper import speech
from projectw_runner.engines.whisper.speech import BLOCK, CHUNK, WARM_UP, SpeechDetector
from tests.runner.conftest import Spoken
from tests.runner.engines.whisper.small import RATE

NOTHING = np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


@pytest.fixture(scope="module")
def talk(librivox: list[Spoken]) -> NDArray[np.float32]:
    """A minute and more of speech with pauses of a second."""
    pause = np.zeros(RATE, np.float32)
    order = [0, 3, 1, 4, 2, 0, 3, 1, 4, 2]
    return np.concatenate([part for n in order for part in (librivox[n].samples, pause)])


@pytest.mark.model
def test_speech_is_heard_and_pauses_are_not(detector: SpeechDetector, librivox: list[Spoken]) -> None:
    clip, pause = librivox[0].samples, np.zeros(2 * RATE, np.float32)
    chances = detector.listen(np.concatenate([pause, clip, pause]), NOTHING)
    edge, end = len(pause) // CHUNK, (len(pause) + len(clip)) // CHUNK
    assert float((chances[edge:end] > 0.5).mean()) > 0.8
    assert float(chances[: edge - 1].max()) < 0.3
    assert float(chances[end + 20 :].max()) < 0.3


def test_noise_and_tones_are_no_speech(detector: SpeechDetector) -> None:
    chance = np.random.default_rng(1)
    time = np.arange(10 * RATE, dtype=np.float32) / RATE
    for sound in (
        0.01 * chance.standard_normal(len(time)),
        0.1 * np.sin(2 * np.pi * 50 * time),
        0.3 * np.sin(2 * np.pi * 1000 * time),
    ):
        chances = detector.listen(sound.astype(np.float32), NOTHING)
        assert float((chances > 0.35).mean()) < 0.05


def test_there_is_a_judgement_for_each_chunk_and_for_a_last_short_one(detector: SpeechDetector) -> None:
    for samples, chunks in ((1, 1), (CHUNK, 1), (CHUNK + 1, 2), (BLOCK, 960)):
        chances = detector.listen(np.zeros(samples, np.float32), np.zeros(2 * CHUNK, np.float32))
        assert chances.shape == (chunks,)
        assert chances.dtype == np.float32


NAMES = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    **{
        f"conv{n + 1}.{part}": f"encoder.{n}.reparam_conv.{part}"
        for n in range(4)
        for part in ("weight", "bias")
    },
    **{
        f"lstm_cell.{part}": f"decoder.rnn.{part}"
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    },
    **{f"final_conv.{part}": f"decoder.decoder.2.{part}" for part in ("weight", "bias")},
}


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*:DeprecationWarning")
def test_given_the_weights_of_the_packages_own_program_we_hear_what_that_hears(
    librivox: list[Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_spec("silero_vad")
    assert package is not None
    assert package.origin is not None
    program = torch.jit.load(str(Path(package.origin).parent / "data" / "silero_vad.jit"))
    weights = program.state_dict()
    monkeypatch.setattr(
        speech, "_weights", lambda: {ours: weights[f"_model.{theirs}"] for ours, theirs in NAMES.items()}
    )
    samples = librivox[1].samples[: 80 * CHUNK]
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        wanted = [float(program(chunk, RATE)) for chunk in torch.from_numpy(samples).split(CHUNK)]
    assert SpeechDetector().listen(samples, NOTHING).tolist() == pytest.approx(wanted, abs=1e-3)
    assert max(wanted) > 0.9


@pytest.mark.model
def test_a_blocks_judgement_hardly_depends_on_more_than_the_second_before_it(
    detector: SpeechDetector, talk: NDArray[np.float32]
) -> None:
    block = talk[BLOCK : 2 * BLOCK]
    whole = detector.listen(talk[: 2 * BLOCK], NOTHING)[BLOCK // CHUNK :]
    warm = detector.listen(block, talk[BLOCK - WARM_UP : BLOCK])
    assert len(warm) == len(whole)
    assert float(np.abs(warm - whole).mean()) < 0.02
    assert float(((warm > 0.5) == (whole > 0.5)).mean()) > 0.98
    again = detector.listen(block, talk[BLOCK - WARM_UP : BLOCK])
    assert np.array_equal(warm, again), "nothing is kept from one block to the next"


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(speech, "find_spec", missing)
    with pytest.raises(ImportError, match=r"pip install 'project-w\[runner\]'"):
        SpeechDetector()


def test_the_package_itself_is_not_imported(detector: SpeechDetector) -> None:
    assert detector is not None
    assert "silero_vad" not in sys.modules
