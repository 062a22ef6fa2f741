"""The transcript: an append-only list of segments."""

import msgspec

PROMPT_SEGMENTS = 24
"""How many of the last segments a runner is given that goes on with a job: enough to fill a model's prompt of
223 tokens, and all that an engine may remember from window to window."""


MAX_SECONDS = 1e9
"""Thirty years: no recording is longer. Larger numbers overflow what is reckoned with them: times in
milliseconds, and the order of a queue that weighs jobs by their length."""


class Word(msgspec.Struct, frozen=True):
    """One word with its place in the audio, in seconds, and the model's probability for it (0 to 1)."""

    word: str
    start: float
    end: float
    probability: float

    def __post_init__(self) -> None:
        """Refuse what could never be a place in a recording."""
        if not (0 <= self.start <= MAX_SECONDS and 0 <= self.end <= MAX_SECONDS):
            raise ValueError(f"a word lies between 0 and {MAX_SECONDS:g} seconds")


class Segment(msgspec.Struct, frozen=True):
    """A stretch of speech: what was said from ``start`` to ``end`` seconds, and how sure the model was.

    The numbers are Whisper's own: ``avg_logprob`` (natural logarithm, 0 is certain), ``no_speech_prob``
    (0 to 1), ``compression_ratio`` (zlib; above 2.4 the text repeats itself) and the sampling
    ``temperature`` at which the window was decoded.
    """

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    temperature: float | None = None
    words: list[Word] | None = None
    speaker: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could never be a place in a recording."""
        if self.id < 0:
            raise ValueError("a segment's id is 0 or more")
        if not 0 <= self.start <= self.end:
            raise ValueError("a segment starts at 0 or later and ends no earlier than it starts")
        if self.end > MAX_SECONDS:
            raise ValueError(f"a segment ends within {MAX_SECONDS:g} seconds")


def text_of(segments: list[Segment]) -> str:
    """Return the running text of ``segments``, as Whisper writes it: joined, with outer spaces removed."""
    return "".join(segment.text for segment in segments).strip()
