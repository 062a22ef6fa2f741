"""What is plainly no recording is refused with a sentence; what might be one is let through."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from projectw_server.uploads.sniffing import HEAD_BYTES, refuse_what_is_no_media
from projectw_shared.errors import UnsupportedMedia

NOISE = os.urandom(4000)
SPEECH = Path(__file__).parents[4] / "shared" / "audio"

RECORDINGS = {
    "wav": b"RIFF\x24\x08\0\0WAVEfmt " + NOISE,
    "broadcast wav": b"RIFF\x24\x08\0\0WAVEbext" + NOISE,
    "rf64": b"RF64\xff\xff\xff\xffWAVEds64" + NOISE,
    "w64": b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + NOISE,
    "mp3 with id3": b"ID3\x04\0\0\0\0\x02\x01" + NOISE,
    "mp3 with a short id3": b"ID3\x04\0\0\0\0\0\x04abcd\xff\xfb\x90\x64" + NOISE,
    "mp3 without id3": b"\xff\xfb\x90\x64" + NOISE,
    "mp3 of mpeg 2.5": b"\xff\xe3\x18\xc4" + NOISE,
    "mpeg layer 1": b"\xff\xfe\x90\x64" + NOISE,
    "aac": b"\xff\xf1\x50\x80" + NOISE,
    "aac of mpeg 2": b"\xff\xf9\x50\x80" + NOISE,
    "amr": b"#!AMR\n\x3c" + NOISE,
    "amr-wb": b"#!AMR-WB\n\x3c" + NOISE,
    "wma": bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C") + NOISE,
    "opus": b"OggS\0\2" + bytes(22) + b"\x01\x13OpusHead" + NOISE,
    "caf": b"caff\0\1\0\0desc" + NOISE,
    "au": b".snd\0\0\0\x18" + NOISE,
    "aiff": b"FORM\0\0\1\0AIFFCOMM" + NOISE,
    "aifc": b"FORM\0\0\1\0AIFCCOMM" + NOISE,
    "flac": b"fLaC\0\0\0\x22" + NOISE,
    "mkv": b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + NOISE,
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm" + NOISE,
    "mov": b"\0\0\0\x14ftypqt  \0\0\2\0qt  " + NOISE,
    "mov from a camera": b"\0\0\0\x08wide\0\1\0\0mdat" + NOISE,
    "m4a": b"\0\0\0\x1cftypM4A \0\0\2\0" + NOISE,
    "mp4": b"\0\0\0\x1cftypdash\0\0\2\0" + NOISE,
    "3gp": b"\0\0\0\x1cftyp3gp4\0\0\2\0" + NOISE,
    "mpeg-ts": (b"\x47\x40\x11\x10" + NOISE[:184]) * 6,
    "mpeg-ps": b"\0\0\1\xba\x44\0" + NOISE,
    "avi": b"RIFF\0\0\0\0AVI LIST" + NOISE,
    "wavpack": b"wvpk" + NOISE,
    "ac3": b"\x0b\x77" + NOISE,
    "silence without a header": bytes(4000),
    "quiet 8-bit samples": bytes([0x80]) * 4000,
    "something unknown": b"\xd2" + NOISE,
}


def office() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
    return file.getvalue()


OTHERS = {
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + NOISE,
    "a PDF document ": b"%PDF-1.4\n1 0 obj\n",
    "an RTF document": b"{\\rtf1 hello}",
    "a ZIP archive": b"PK\3\4\x14\0\0\0\x08\0" + NOISE,
    "an Office document": office(),
    "an Office document ": bytes.fromhex("d0cf11e0a1b11ae1") + NOISE,
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + NOISE,
    "a picture ": b"\xff\xd8\xff\xe0\0\x10JFIF" + NOISE,
    "a picture  ": b"RIFF\0\0\0\0WEBPVP8 " + NOISE,
    "a picture   ": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + NOISE,
    "a program": b"\x7fELF\2\1\1" + bytes(100),
    "a program ": b"MZ\x90\0\3\0\0\0" + NOISE,
    "a program  ": b"\xcf\xfa\xed\xfe" + NOISE,
    "an archive or a file of another program": b"\x1f\x8b\x08\0" + NOISE,
    "a database": b"SQLite format 3\0" + NOISE,
    "an empty file": b"",
    "a playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    "a playlist ": b"\xef\xbb\xbf[playlist]\nFile1=/etc/passwd\n",
    "a playlist  ": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a playlist   ": "#EXTM3U\n/etc/passwd\n".encode("utf-16"),
    "a playlist    ": b"ID3\x04\0\0\0\0\0\x04abcd#EXTM3U\nfile:///etc/passwd\n",
    "a web page": b"\n<!DOCTYPE HTML><html><body>Log in first</body></html>",
    "XML": b'<?xml version="1.0"?><MPD/>',
    "XML ": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "JSON": b'{"error": {"code": 404}}',
    "a script": b"#!/bin/sh\necho hello\n",
    "subtitles": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
    "plain text": "Grüße aus Köln\n".encode(),
    "plain text ": ("Grüße aus Köln und anderswo, lang genug.\n" * 9).encode("latin-1"),
    "plain text  ": ("é" * HEAD_BYTES).encode()[: HEAD_BYTES - 1],
    "plain text   ": b"ID3 is how this note begins",
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_let_through(name: str) -> None:
    media_type = refuse_what_is_no_media(RECORDINGS[name][:HEAD_BYTES], "file")
    assert media_type == "application/octet-stream" or media_type.startswith(("audio/", "video/"))


@pytest.mark.parametrize("looks_like", OTHERS)
def test_what_is_plainly_no_recording_is_refused_with_what_would_be_right(looks_like: str) -> None:
    with pytest.raises(UnsupportedMedia) as refusal:
        refuse_what_is_no_media(OTHERS[looks_like][:HEAD_BYTES], "talk.wav")
    assert f"looks like {looks_like.rstrip()}, not" in refusal.value.detail
    assert "send audio or video, such as wav, mp3" in refusal.value.detail


def test_an_unknown_recording_gets_the_type_of_its_extension_if_that_is_media() -> None:
    assert refuse_what_is_no_media(b"caff\0\1\0\0desc" + NOISE, "talk.aac") == "audio/aac"
    assert refuse_what_is_no_media(b"caff\0\1\0\0desc" + NOISE, "page.html") == "application/octet-stream"


@pytest.mark.skipif(not SPEECH.is_dir(), reason="the collection of recordings is not here")
def test_every_recording_of_the_collection_passes_and_every_text_beside_them_is_refused() -> None:
    for path in SPEECH.rglob("*"):
        if path.is_dir():
            continue
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if path.suffix in (".txt", ".rttm", ".tsv", ".md"):
            with pytest.raises(UnsupportedMedia):
                refuse_what_is_no_media(head, path.name)
        else:
            assert refuse_what_is_no_media(head, path.name).startswith(("audio/", "video/")), path
