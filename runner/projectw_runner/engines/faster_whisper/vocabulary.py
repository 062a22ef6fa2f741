"""Whisper's vocabulary in the forms that CTranslate2 and the package ``tokenizers`` read. Imports whisper."""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from whisper.tokenizer import get_tokenizer

_TIMES: Final = 1501
"""Time stamps from 0 to 30 seconds in steps of 0.02."""


@dataclass(frozen=True)
class Vocabulary:
    """All that a converted model must know of its tokens.

    ``tokens``: each token's text, by number, time stamps included, its bytes written as GPT-2 writes them.
    ``suppressed``: what is never decoded; ``suppressed_first``: what is not decoded as a window's first token.
    """

    tokens: list[str]
    languages: list[int]
    suppressed: list[int]
    suppressed_first: list[int]
    tokenizer: Tokenizer


def vocabulary(*, is_multilingual: bool, languages: int) -> Vocabulary:
    """Return the vocabulary of a checkpoint, as openai-whisper carries it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # whisper forgets to close the file
        known = get_tokenizer(is_multilingual, num_languages=languages)
    ranks: dict[bytes, int] = known.encoding._mergeable_ranks
    special = sorted(known.special_tokens, key=lambda token: known.special_tokens[token])
    names = [_readable(token) for token in sorted(ranks, key=lambda token: ranks[token])]
    return Vocabulary(
        tokens=names + special,
        languages=sorted(known.all_language_tokens),
        suppressed=sorted(
            {
                *known.non_speech_tokens,
                known.transcribe,
                known.translate,
                known.sot,
                known.sot_lm,
                known.sot_prev,
                known.no_speech,
            }
        ),
        suppressed_first=[*known.encode(" "), known.eot],
        tokenizer=_tokenizer(ranks, special[:-_TIMES]),
    )


def _tokenizer(ranks: dict[bytes, int], special: list[str]) -> Tokenizer:
    vocab = {_readable(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=_merges(ranks)))
    # Its own pattern is GPT-2's, which is Whisper's.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _merges(ranks: dict[bytes, int]) -> list[tuple[str, str]]:
    """Return the pairs that were merged, in order.

    tiktoken keeps only what came out of each merge. Its two parts are what the merges before it make of its bytes.
    """
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            first, second = _merged(ranks, token, rank)
            merges.append((_readable(first), _readable(second)))
    return merges


def _merged(ranks: dict[bytes, int], token: bytes, below: int) -> list[bytes]:
    """Merge the bytes of ``token`` as far as the merges before rank ``below`` go."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        pairs = [ranks.get(one + two, below) for one, two in pairwise(parts)]
        best = min(pairs)
        if best >= below:
            break
        place = pairs.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def _alphabet() -> dict[int, str]:
    """Return a printable character for each byte: itself where it is one, else the next one from 256 on (GPT-2)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


_ALPHABET: Final = _alphabet()


def _readable(token: bytes) -> str:
    return "".join(_ALPHABET[byte] for byte in token)
