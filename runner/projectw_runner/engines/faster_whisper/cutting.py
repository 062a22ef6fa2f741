"""Segments of a window's words: sentences, and parts of those that are long for a line of subtitles."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from projectw_shared.transcripts import Word

_PAUSE: Final = 1.0
"""Seconds of silence between two words that part segments anywhere."""

_SENTENCE_ENDS: Final = tuple(".?!。？！…।؟")
_PART_ENDS: Final = tuple(",;:–—，、；：،")
_QUOTES: Final = "\"'”’»)]」』"

_ABBREVIATION: Final = 3
"""A full stop after at most so many letters ends a sentence only when a pause follows."""

_BREATH: Final = 0.2
_LONGEST: Final = 10.0
_MOST_CHARACTERS: Final = 160


def cut(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of each segment; not one word is left out."""
    sentence: list[Word] = []
    for word, following in pairwise([*words, None]):
        if word is not None:
            sentence.append(word)
        if following is None or (word is not None and _ends_sentence(word, following)):
            yield from _parts(sentence)
            sentence = []


def _ends_sentence(word: Word, following: Word) -> bool:
    pause = following.start - word.end
    if pause >= _PAUSE:
        return True
    text = word.word.strip().rstrip(_QUOTES)
    if not text.endswith(_SENTENCE_ENDS):
        return False
    # Between the words of Chinese and its like stands no space; nor is a number such as 3.14 two sentences.
    is_sure = not text.endswith(".") or (len(text) > _ABBREVIATION + 1 and following.word.startswith(" "))
    return is_sure or pause >= _BREATH


def _parts(sentence: list[Word]) -> Iterator[list[Word]]:
    """Halve what is too long, where a breath or a comma is near the middle."""
    if not sentence:
        return
    begin, length = sentence[0].start, sentence[-1].end - sentence[0].start
    characters = sum(len(word.word) for word in sentence)
    if len(sentence) < 2 or (length <= _LONGEST and characters <= _MOST_CHARACTERS):
        yield sentence
        return

    def worth(place: int) -> float:
        before, after = sentence[place - 1], sentence[place]
        is_mark = before.word.rstrip(_QUOTES).endswith(_PART_ENDS)
        off_middle = abs((before.end + after.start) / 2 - begin - length / 2) / max(length, 0.1)
        return min(after.start - before.end, 0.5) + 0.3 * is_mark - off_middle

    place = max(range(1, len(sentence)), key=worth)
    yield from _parts(sentence[:place])
    yield from _parts(sentence[place:])
