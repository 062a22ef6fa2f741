"""The place of each word, from the decoder's attention (whisper.timing). Imports torch."""

import warnings
from typing import Any

import torch
from whisper import timing
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.hearing import Heard
from projectw_runner.engines.whisper.splitting import Draft
from projectw_runner.engines.whisper.windows import Window


def place_words(
    model: Whisper,
    tokenizer: Tokenizer,
    heard: Heard,
    window: Window,
    drafts: list[Draft],
    last_speech: float,
) -> None:
    """Give each draft its words, and the start and end that follow from them, in seconds from the window's start.

    ``last_speech``: where in the recording the last words before this window have ended, in seconds.
    """
    offset = window.start_seconds
    segments: list[dict[str, Any]] = [
        {
            "seek": window.start,
            "start": offset + draft.start,
            "end": offset + draft.end,
            "tokens": draft.tokens,
        }
        for draft in drafts
    ]
    with warnings.catch_warnings():
        # numba finds nothing to run in parallel, and Triton is missing on many machines: both work all the same.
        warnings.simplefilter("ignore")
        with torch.no_grad():
            timing.add_word_timestamps(
                segments=segments,
                model=model,
                tokenizer=tokenizer,
                mel=heard.mel,
                num_frames=window.frames,
                last_speech_timestamp=last_speech,
            )
    for draft, segment in zip(drafts, segments, strict=True):
        draft.start = float(segment["start"]) - offset
        draft.end = float(segment["end"]) - offset
        draft.words = segment["words"]
