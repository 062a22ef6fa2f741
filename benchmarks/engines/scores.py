"""Word errors, counted over any number of texts."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class Score:
    """Words that were put in, left out or exchanged, among the words of the references."""

    errors: int = 0
    words: int = 0

    @property
    def rate(self) -> float | None:
        """Errors for each word; None where there is no word to compare with."""
        return self.errors / self.words if self.words else None

    def __add__(self, other: "Score") -> "Score":
        return Score(self.errors + other.errors, self.words + other.words)


def total(scores: Iterable[Score | None]) -> Score:
    """Return the score of many texts as if they were one; None is a text without a reference."""
    return sum((each for each in scores if each is not None), Score())


def normalizer(language: str) -> Callable[[str], str]:
    """Return Whisper's own way to make texts comparable. Imports torch."""
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # whisper forgets to close its list of spellings
        normalize: Callable[[str], str] = (
            EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()
        )
    return normalize


def score(reference: str, heard: str, normalize: Callable[[str], str]) -> Score:
    """Compare two texts word by word, as ``normalize`` leaves them."""
    wanted, got = normalize(reference).strip(), normalize(heard).strip()
    if not wanted:
        return Score(len(got.split()), 0)
    counted = jiwer.process_words(wanted, got)
    return Score(
        counted.substitutions + counted.deletions + counted.insertions,
        counted.hits + counted.substitutions + counted.deletions,
    )
