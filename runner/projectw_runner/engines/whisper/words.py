"""The place of each word, from where the decoder looks while it reads the text (whisper.timing). Imports torch.

The states of the encoder are those from which the text was written, and the windows of a batch are aligned together, so
words cost one pass of the decoder.
"""

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor
from whisper import timing
from whisper.tokenizer import Tokenizer

from projectw_runner.engines.whisper.decoder import Batch, Decoder
from projectw_runner.engines.whisper.encoder import FRAMES_PER_STATE
from projectw_runner.engines.whisper.splitting import Draft, Placed

_SECONDS_PER_STATE: Final = 0.02
_FILTER: Final = 7
"""States over which the median is taken."""

_BEFORE: Final = "\"'“¿([{-"
_AFTER: Final = "\"'.。,，!！?？:：”)]}、"
_SENTENCE_ENDS: Final = ".。!！?？"
_USUAL: Final = 0.7
"""No word is taken to be usually longer than this, in seconds."""


def align(
    decoder: Decoder,
    tokenizer: Tokenizer,
    heads: Tensor,
    states: Tensor,
    texts: Sequence[list[int]],
    frames: Sequence[int],
) -> list[list[Placed]]:
    """Return the words of each text. ``frames``: how many of the spectrogram's each window has."""
    start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    read = [[*start, *text, tokenizer.eot] for text in texts]
    batch = Batch(decoder, decoder.cross_memory(states), length=max(map(len, read)))
    rows, looks = batch.align(read, heads)
    return [
        _words(
            tokenizer,
            text,
            _probabilities(
                decoder, rows[n, len(start) - 1 : len(start) - 1 + len(text)], text, tokenizer.eot
            ),
            looks[n, :, : len(read[n]), : max(count // FRAMES_PER_STATE, 1)],
            len(tokenizer.sot_sequence),
        )
        for n, (text, count) in enumerate(zip(texts, frames, strict=True))
    ]


def _probabilities(decoder: Decoder, rows: Tensor, text: list[int], end: int) -> list[float]:
    with torch.inference_mode():
        chances = decoder.logits(rows)[:, :end].softmax(-1)
        found: list[float] = chances[torch.arange(len(text)), text].tolist()
    return found


def _words(
    tokenizer: Tokenizer, text: list[int], probabilities: list[float], looks: Tensor, start: int
) -> list[Placed]:
    weights = looks.softmax(-1)
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    with warnings.catch_warnings():
        # numba finds nothing to run in parallel, and Triton is missing on many machines: both work all the same.
        warnings.simplefilter("ignore")
        matrix = timing.median_filter((weights - mean) / std, _FILTER).mean(0)[start:-1]
        threads = torch.get_num_threads()
        tokens_at, states_at = timing.dtw(-matrix)
        # numba, in which it is written, sets the number anew for all of the process.
        torch.set_num_threads(threads)
    jumps = np.pad(np.diff(tokens_at), (1, 0), constant_values=1).astype(bool)
    times = states_at[jumps] * _SECONDS_PER_STATE
    words, parts = tokenizer.split_to_word_tokens([*text, tokenizer.eot])
    bounds = np.pad(np.cumsum([len(part) for part in parts[:-1]]), (1, 0)).tolist()
    return [
        Placed(word, float(times[one]), float(times[two]), float(np.mean(probabilities[one:two])), two - one)
        for word, (one, two) in zip(words[:-1], pairwise(bounds), strict=True)
        if two > one
    ]


def place(drafts: Sequence[Draft], words: list[Placed], last_speech: float) -> None:
    """Give each draft its words, and the start and end that follow from them.

    All seconds count from the start of the window; ``last_speech``, where the words before it have ended, is negative.
    """
    usual = _usual_length(words)
    _shorten_at_sentences(words, 2 * usual)
    rest = iter(_with_punctuation(words))
    for draft in drafts:
        draft.words = list(_take(rest, len(draft.tokens)))
        if draft.words:
            start, end = draft.start, draft.end
            _fit(draft, draft.words, usual, last_speech)
            if draft.end <= draft.start:
                # Words that were found in no time at all say nothing of when.
                draft.start, draft.end = start, end
            last_speech = draft.end


def _usual_length(words: Sequence[Placed]) -> float:
    lengths = [word.end - word.start for word in words if word.end > word.start]
    return min(_USUAL, float(np.median(lengths))) if lengths else 0.0


def _shorten_at_sentences(words: Sequence[Placed], longest: float) -> None:
    """A mark at the end of a sentence, or the word behind it, that seems long holds the pause."""
    for before, word in pairwise(words):
        if word.end - word.start > longest > 0:
            if word.word in _SENTENCE_ENDS:
                word.end = word.start + longest
            elif before.word in _SENTENCE_ENDS:
                word.start = word.end - longest


def _with_punctuation(words: Sequence[Placed]) -> list[Placed]:
    """Join marks with the words that they belong to."""
    joined: list[Placed] = []
    opening: Placed | None = None
    for word in words:
        is_opening = word.word.startswith(" ") and bool(word.word.strip()) and word.word.strip() in _BEFORE
        if opening is not None:
            word = Placed(
                opening.word + word.word, word.start, word.end, word.probability, opening.tokens + word.tokens
            )
            opening = None
        if is_opening:
            opening = word
        elif joined and word.word in _AFTER and not joined[-1].word.endswith(" "):
            joined[-1].word += word.word
            joined[-1].tokens += word.tokens
        else:
            joined.append(word)
    return joined if opening is None else [*joined, opening]


def _take(words: Iterator[Placed], tokens: int) -> Iterator[Placed]:
    """Take the words of so many tokens."""
    taken = 0
    while taken < tokens and (word := next(words, None)) is not None:
        taken += word.tokens
        yield word


def _fit(draft: Draft, words: list[Placed], usual: float, last_speech: float) -> None:
    """Bring the words and the time stamps of a draft together: a word beside a pause is not stretched over it."""
    longest = 2 * usual
    first, last = words[0], words[-1]
    second = words[1] if len(words) > 1 else None
    is_long = first.end - first.start > longest or (
        second is not None and second.end - first.start > 2 * longest
    )
    if first.end - last_speech > 2 * longest and is_long:
        if second is not None and second.end - second.start > longest:
            first.end = second.start = max(second.end / 2, second.end - longest)
        first.start = max(0.0, first.end - longest)
    if draft.start < first.end and draft.start - 0.5 > first.start:
        first.start = max(0.0, min(first.end - usual, draft.start))
    else:
        draft.start = first.start
    if draft.end > last.start and draft.end + 0.5 < last.end:
        last.end = max(last.start + usual, draft.end)
    else:
        draft.end = last.end
