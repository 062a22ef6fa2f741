"""Segments of a window's tokens, and where the next window begins: the reference's rules, without its loop."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

_FRAMES_PER_TIME: Final = 2
"""Frames of 10 ms that one step of a time stamp stands for."""


@dataclass
class Placed:
    """A word, its seconds from the start of the window, and how many tokens it is."""

    word: str
    start: float
    end: float
    probability: float
    tokens: int


@dataclass
class Draft:
    """A segment in the making: seconds from the start of the window, and the tokens of its text."""

    start: float
    end: float
    tokens: list[int]
    words: list[Placed] | None = None


@dataclass(frozen=True)
class Split:
    """A window's segments, and how many frames of it are done.

    ``ends_in_silence``: the model closed the last segment and opened no other, so the rest holds no speech.
    """

    drafts: list[Draft] = field(default_factory=list)
    advance: int = 0
    ends_in_silence: bool = False


def split(tokens: list[int], *, timestamp_begin: int, end_of_text: int, frames: int) -> Split:
    """Cut ``tokens`` at each pair of time stamps.

    An unfinished segment at the end is left to the next window, which then begins at the last time stamp;
    otherwise the window is done as a whole.
    """

    def is_time(token: int) -> bool:
        return token >= timestamp_begin

    def draft(part: list[int], start: int, end: int) -> Draft:
        return Draft(start / 50, end / 50, [token for token in part if token < end_of_text])

    single_ending = [is_time(token) for token in tokens[-2:]] == [False, True]
    cuts = [n + 1 for n, (one, two) in enumerate(pairwise(tokens)) if is_time(one) and is_time(two)]
    if not cuts:
        times = [token - timestamp_begin for token in tokens if is_time(token)]
        end = times[-1] if times and times[-1] else frames // _FRAMES_PER_TIME
        return Split([draft(tokens, 0, end)], frames, single_ending)
    if single_ending:
        cuts.append(len(tokens))
    drafts = [
        draft(tokens[one:two], tokens[one] - timestamp_begin, tokens[two - 1] - timestamp_begin)
        for one, two in pairwise([0, *cuts])
    ]
    last = (tokens[cuts[-1] - 1] - timestamp_begin) * _FRAMES_PER_TIME
    # A window that would not move on would never end.
    advance = frames if single_ending or last <= 0 else min(last, frames)
    return Split(drafts, advance, single_ending)
