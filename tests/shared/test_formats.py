"""Transcripts as files, compared with what Whisper's own writers make."""

import io
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from projectw_shared.formats import FORMATS, MEDIA_TYPES, render, timestamp
from projectw_shared.text import safe
from projectw_shared.transcripts import Segment, Word

SEGMENTS = [
    Segment(0, 0.0, 2.48, " And so, my fellow Americans,", -0.2, 0.01, 1.1, 0.0),
    Segment(1, 2.48, 59.9996, " ask not --> what\tyour country", -0.3, 0.02, 1.2, 0.2),
    Segment(2, 3599.5, 3725.0625, " Größe & <i>日本</i> ", -0.3, 0.02, 1.2, 0.2),
    Segment(3, 3725.0625, 3725.0625, ""),
]
SPOKEN = [
    Segment(
        0, 0.0, 3.0, " Hello there.", words=[Word(" Hello", 0.4, 0.9, 0.9), Word(" there.", 0.9, 1.2, 0.8)]
    ),
    Segment(1, 3.0, 4.0, "", words=[]),
    Segment(2, 4.0, 6.0, " Bye.", words=[Word(" Bye.", 4.5, 5.25, 0.9)]),
]
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["--->", "a\n\nb", "1\n00:00:01,000 --> 00:00:02,000", "\t", "\r\n", "\x0b"]
)


def ours(segments: list[Segment], format: str, **options: Any) -> str:
    return "".join(render(segments, format, **options))


def whispers(segments: list[Segment], format: str) -> str:
    utils = pytest.importorskip("whisper.utils")
    result = {"text": "", "segments": msgspec.to_builtins(segments), "language": "en"}
    for segment in result["segments"]:
        if segment["words"] is None:
            del segment["words"]
    file = io.StringIO()
    utils.get_writer(format, ".").write_result(result, file=file)
    return file.getvalue()


def texts_of(texts: list[str]) -> list[Segment]:
    return [Segment(n, n * 4000.5, n * 4000.5 + 1, text) for n, text in enumerate(texts)]


@pytest.mark.parametrize("format", ["txt", "srt", "vtt", "tsv"])
@pytest.mark.parametrize("segments", [SEGMENTS, SPOKEN, []], ids=["plain", "words", "none"])
def test_our_files_are_whispers_files_byte_for_byte(format: str, segments: list[Segment]) -> None:
    assert ours(segments, format) == whispers(segments, format)


def test_hours_stand_in_srt_always_and_in_vtt_when_there_are_some() -> None:
    assert "00:00:00,000 --> 00:00:02,480" in ours(SEGMENTS, "srt")
    assert "\n00:00.000 --> 00:02.480\n" in ours(SEGMENTS, "vtt")
    assert "\n59:59.500 --> 01:02:05.062\n" in ours(SEGMENTS, "vtt")
    assert timestamp(360_000) == "100:00:00.000"


def test_json_has_whispers_keys() -> None:
    document = json.loads(ours(SEGMENTS, "json", language="en"))
    assert list(document) == ["text", "segments", "language"]
    assert document["text"] == "".join(each.text for each in SEGMENTS)
    assert document["language"] == "en"
    assert document["segments"][0] == {
        "id": 0, "start": 0.0, "end": 2.48, "text": " And so, my fellow Americans,", "avg_logprob": -0.2,
        "no_speech_prob": 0.01, "compression_ratio": 1.1, "temperature": 0.0,
    }  # fmt: skip
    words = json.loads(ours(SPOKEN, "json"))["segments"][0]["words"]
    assert words[0] == {"word": " Hello", "start": 0.4, "end": 0.9, "probability": 0.9}
    assert json.loads(ours([], "json")) == {"text": "", "segments": [], "language": None}


@given(st.lists(TEXTS, max_size=4))
def test_no_text_can_forge_a_cue_a_row_or_a_line(texts: list[str]) -> None:
    segments = texts_of(texts)
    srt = ours(segments, "srt")
    timing = r"\d\d+:\d\d:\d\d,\d{3} --> \d\d+:\d\d:\d\d,\d{3}"
    cues = "".join(rf"{number}\n{timing}\n(?:(?!-->)[^\n])*\n\n" for number in range(1, len(segments) + 1))
    assert re.fullmatch(cues, srt)
    assert ours(segments, "vtt").count("-->") == len(segments)
    assert len(ours(segments, "txt").splitlines()) == len(segments)
    rows = ours(segments, "tsv").splitlines()
    assert [row.count("\t") for row in rows] == [2] * (len(segments) + 1)
    assert [each["text"] for each in json.loads(ours(segments, "json"))["segments"]] == texts


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_nothing_in_a_text_acts_as_markdown(text: str) -> None:
    source = ours([Segment(0, 0, 1, text)], "md", title=text)
    tokens = MarkdownIt("commonmark").enable(["strikethrough", "table"]).parse(source)
    assert [token.type for token in tokens if token.type.endswith("_open")] == [
        "heading_open",
        "paragraph_open",
    ]
    heading, paragraph = (token for token in tokens if token.type == "inline")
    shown = "".join(child.content for child in heading.children or ())
    assert shown.split() == (safe(text).split() or ["Transcript"])
    assert {child.type for child in paragraph.children or ()} <= {"text", "strong_open", "strong_close"}


def test_markdown_breaks_paragraphs_at_pauses_at_speakers_and_after_a_minute() -> None:
    segments = [
        Segment(0, 0, 5, " One."),
        Segment(1, 5, 9, " Two."),
        Segment(2, 12, 20, " After a pause."),
        Segment(3, 20, 25, " Another voice.", speaker="B*b"),
        *(Segment(4 + n, 25 + 20 * n, 45 + 20 * n, f" Part {n}.", speaker="B*b") for n in range(3)),
    ]
    assert ours(segments, "md", language="en", title="talk_1.wav\n# x") == (
        "# talk\\_1.wav \\# x\n\nLanguage: en\n"
        "\n**[00:00:00]** One. Two.\n"
        "\n**[00:00:12]** After a pause.\n"
        "\n**[00:00:20] B\\*b:** Another voice. Part 0. Part 1.\n"
        "\n**[00:01:05] B\\*b:** Part 2.\n"
    )


def test_a_long_transcript_comes_in_pieces_before_the_last_segment_is_there() -> None:
    taken = 0

    def segments() -> Any:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield Segment(n, n, n + 1, " x")

    for format in ("txt", "srt", "vtt", "tsv", "md"):
        taken = 0
        pieces = render(segments(), format)
        next(pieces), next(pieces)
        assert taken < 100


def test_an_unknown_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'doc'; the formats are txt, srt, vtt, tsv, json, md"):
        render([], "doc")


def test_every_format_has_a_media_type() -> None:
    assert tuple(MEDIA_TYPES) == FORMATS
    assert all(render([], format) is not None for format in FORMATS)
