"""Beams take torch's fast attention, and nothing else changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper.audio import log_mel_spectrogram, pad_or_trim

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines.whisper import attention, loading

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def weights(tiny_en: Path) -> Path:
    return CheckpointStore(tiny_en.parent).genuine("tiny.en")


def beams(weights: Path, samples: np.ndarray) -> list[int]:
    model = loading.load("tiny.en", weights, torch.device("cpu"))
    heard = log_mel_spectrogram(pad_or_trim(samples))
    found = whisper.decode(model, heard, whisper.DecodingOptions(language="en", beam_size=5, fp16=False))
    assert isinstance(found, whisper.DecodingResult)
    return found.tokens


def test_beams_find_the_same_tokens_on_the_fast_path(
    weights: Path, librivox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: set[tuple[int, int]] = set()
    fast = whisper.model.scaled_dot_product_attention

    def watched(queries: Any, keys: Any, values: Any, **named: Any) -> Any:
        batches.add((queries.shape[0], keys.shape[0]))
        return fast(queries, keys, values, **named)

    monkeypatch.setattr(whisper.model, "scaled_dot_product_attention", watched)
    tokens = beams(weights, librivox[0].samples)
    assert (5, 5) in batches
    assert all(queries == keys for queries, keys in batches)
    monkeypatch.setattr(loading, "widen_cross_attention", lambda model: None)
    assert beams(weights, librivox[0].samples) == tokens
    assert (5, 1) in batches, "whisper does it by itself now: attention.py can go"


def test_one_query_for_one_window_is_left_alone() -> None:
    given: list[Any] = []
    one = torch.zeros(1, 3, 4)
    attention._widened(lambda *parts: given.extend(parts), one, one, one)
    assert given[1] is one
