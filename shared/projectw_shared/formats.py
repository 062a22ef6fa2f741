"""Transcripts as files: the five forms that Whisper's own command writes, and Markdown to read.

Line for line what ``whisper.utils.get_writer`` of openai-whisper 20250625 gives without options, except that
a line break or a blank line inside a text becomes a space: there it would end a cue, a row or a line.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from projectw_shared.text import safe
from projectw_shared.transcripts import Segment, text_of

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "md")

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "txt": "text/plain; charset=utf-8",
        "srt": "application/x-subrip; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "tsv": "text/tab-separated-values; charset=utf-8",
        "json": "application/json",
        "md": "text/markdown; charset=utf-8",
    }
)

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence after which Markdown begins a new paragraph."""

PARAGRAPH_LENGTH = 60.0
"""Seconds after which Markdown begins a new paragraph with the next segment."""

_LINE_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+[ \t]*")
_ARROW = re.compile(r"-{2,}>")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>&#~|$])")
"""What acts in the middle of a line; ours never begin with foreign text, so ``1.`` and ``-`` stay readable."""


def render(
    segments: Iterable[Segment], format: str, *, language: str | None = None, title: str = ""
) -> Iterator[str]:
    """Yield ``segments`` in ``format``, piece by piece, so that a long transcript is never one string.

    ``language`` is written in JSON and Markdown, ``title`` (foreign text, such as a file name) is Markdown's
    heading. ValueError when there is no such format. JSON alone needs all segments before it begins.
    """
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "txt": lambda: (f"{_line(segment.text)}\n" for segment in segments),
        "srt": lambda: _srt(segments),
        "vtt": lambda: _vtt(segments),
        "tsv": lambda: _tsv(segments),
        "json": lambda: _json(list(segments), language),
        "md": lambda: _markdown(segments, language, title),
    }
    if format not in writers:
        raise ValueError(f"there is no format {format!r}; the formats are {', '.join(FORMATS)}")
    return writers[format]()


def timestamp(seconds: float, *, hours: bool = False, mark: str = ".") -> str:
    """Write a position as Whisper does: ``01:02.345``, with hours when it has some or when asked for."""
    milliseconds = round(seconds * 1000)
    whole, milliseconds = divmod(milliseconds, 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    front = f"{hour:02d}:" if hours or hour else ""
    return f"{front}{minute:02d}:{second:02d}{mark}{milliseconds:03d}"


def _srt(segments: Iterable[Segment]) -> Iterator[str]:
    for number, (start, end, text) in enumerate(_cues(segments), start=1):
        first, last = (timestamp(each, hours=True, mark=",") for each in (start, end))
        yield f"{number}\n{first} --> {last}\n{text}\n\n"


def _vtt(segments: Iterable[Segment]) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for start, end, text in _cues(segments):
        yield f"{timestamp(start)} --> {timestamp(end)}\n{text}\n\n"


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and text; with words, the times are those of the first and last word, as in Whisper."""
    for segment in segments:
        start, end, text = segment.start, segment.end, segment.text
        if segment.words:
            start, end = segment.words[0].start, segment.words[-1].end
            text = "".join(word.word for word in segment.words)
        elif segment.words == [] and not text.strip():
            continue  # Whisper empties the words of what it takes for silence, and writes no cue then
        # An arrow would make a text a cue's timing. Whisper's own replacement turns "--->" into one.
        yield start, end, _ARROW.sub("->", _line(text))


def _tsv(segments: Iterable[Segment]) -> Iterator[str]:
    yield "start\tend\ttext\n"
    for segment in segments:
        text = _line(segment.text).replace("\t", " ")
        yield f"{round(1000 * segment.start)}\t{round(1000 * segment.end)}\t{text}\n"


def _json(segments: list[Segment], language: str | None) -> Iterator[str]:
    # The running text comes before the segments in Whisper's result, so they are all needed here.
    text, code = (
        msgspec.json.encode(each).decode() for each in ("".join(s.text for s in segments), language)
    )
    yield f'{{"text":{text},"segments":['
    for number, segment in enumerate(segments):
        yield ("," if number else "") + msgspec.json.encode(_as_whisper(segment)).decode()
    yield f'],"language":{code}}}'


def _as_whisper(segment: Segment) -> dict[str, Any]:
    """Return the keys of Whisper's segments, less ``seek`` and ``tokens``, which only its decoder needs.

    ``words`` and ``speaker`` are there only where they are known.
    """
    fields: dict[str, Any] = msgspec.to_builtins(segment)
    return {
        key: value for key, value in fields.items() if value is not None or key not in ("words", "speaker")
    }


def _markdown(segments: Iterable[Segment], language: str | None, title: str) -> Iterator[str]:
    yield f"# {_escaped(title) or 'Transcript'}\n"
    if language:
        yield f"\nLanguage: {_escaped(language)}\n"
    for paragraph in _paragraphs(segments):
        place = timestamp(paragraph[0].start, hours=True).partition(".")[0]
        speaker = f" {_escaped(paragraph[0].speaker)}:" if paragraph[0].speaker else ""
        yield f"\n**[{place}]{speaker}** {_escaped(text_of(paragraph))}\n"


def _paragraphs(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    paragraph: list[Segment] = []
    for segment in segments:
        if paragraph and (
            segment.speaker != paragraph[0].speaker
            or segment.start - paragraph[-1].end >= PARAGRAPH_PAUSE
            or segment.end - paragraph[0].start > PARAGRAPH_LENGTH
        ):
            yield paragraph
            paragraph = []
        paragraph.append(segment)
    if paragraph:
        yield paragraph


def _line(text: str) -> str:
    """Return ``text`` on one line, without outer spaces."""
    return _LINE_BREAKS.sub(" ", text.strip())


def _escaped(text: str) -> str:
    """Return foreign text in which Markdown finds nothing to act on, HTML and links included."""
    return _MARKDOWN.sub(r"\\\1", safe(_line(text)))
