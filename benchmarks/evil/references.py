"""Files that name other files or addresses, so that whoever opens them would bring those."""

import struct
from collections.abc import Callable
from typing import Final

from benchmarks.evil.boxes import box, find, resized
from benchmarks.evil.stage import Evil, Stage, content

ID3: Final = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)
PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000154"
    "a24f600000000049454e44ae426082"
)


def hls(target: str, before: str = "") -> bytes:
    """Return a playlist of one piece."""
    return (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"{before}#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n"
    ).encode()


def dash(base: str) -> bytes:
    """Return a manifest of one stream."""
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0" '
        f'bandwidth="1"><BaseURL>{base}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ).encode()


def _hls(target: str, before: str = "", file_name: str = "recording.wav") -> Evil:
    def make(stage: Stage) -> bytes:
        place = {"folder": stage.folder, "port": stage.port}
        return hls(target.format(**place), before.format(**place))

    return content(make, file_name)


def _text(text: str, file_name: str = "recording.mp3") -> Evil:
    """Return a file of ``text``, in which a placeholder stands for the stage's folder."""

    def make(stage: Stage) -> bytes:
        return text.replace("{folder}", str(stage.folder)).replace("{port}", str(stage.port)).encode()

    return content(make, file_name)


def foreign_data(make_entry: Callable[[Stage], bytes]) -> Callable[[Stage], bytes]:
    """Return a maker of a film whose sound lies in another file, as the data reference that is made says."""

    def make(stage: Stage) -> bytes:
        film = stage.folder / "victim.mov"
        if not film.exists():
            stage.encode(film, "-i", str(stage.folder / "victim.wav"), "-c:a", "pcm_s16le")
        data = film.read_bytes()
        start, size = find(data, b"mdat")
        data = data[: start + 8] + bytes(size - 8) + data[start + size :]
        dref = box(b"dref", struct.pack(">II", 0, 1) + make_entry(stage))
        return resized(data, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), dref)

    return make


def alias(stage: Stage) -> bytes:
    """Return a Macintosh alias to the victim's film."""
    target = str(stage.folder / "victim.mov")
    name = target.rsplit("/", 1)[-1].encode()
    record = struct.pack(">HH", 2, len(target)) + target.encode() + bytes(len(target) % 2)
    directory = struct.pack(">HH", 0, 1) + b"/" + b"\0"
    body = bytearray(4 + 10) + bytes([4]) + b"Disk".ljust(27, b"\0") + bytes(12)
    body += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 0, 1) + bytes(16)
    body += directory + record + struct.pack(">HH", 0xFFFF, 0)
    return box(b"alis", bytes(body))


def _url(template: str) -> Callable[[Stage], bytes]:
    def make(stage: Stage) -> bytes:
        address = template.format(folder=stage.folder, port=stage.port)
        return box(b"url ", bytes(4) + address.encode() + b"\0")

    return make


def _reference_movie(stage: Stage) -> bytes:
    address = f"file://{stage.folder}/victim.mov".encode() + b"\0"
    rdrf = box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(address)) + address)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", rdrf)))


REFERENCES: Final = {
    "hls-relative": _hls("victim.mp3"),
    "hls-transport-stream": _hls("victim.ts"),
    "hls-absolute": _hls("{folder}/victim.mp3"),
    "hls-file-url": _hls("file:{folder}/victim.mp3"),
    "hls-passwd": _hls("file:///etc/passwd"),
    "hls-canary": _hls("file:{folder}/canary.txt", file_name="recording.m3u8"),
    "hls-concat": _hls("concat:{folder}/victim.mp3|{folder}/victim.mp3", file_name="recording.mp3"),
    "hls-subfile": _hls("subfile,,start,0,end,9999,,:{folder}/victim.mp3"),
    "hls-crypto": _hls("crypto:{folder}/victim.mp3"),
    "hls-data": _hls("data:audio/mpeg;base64,SUQzBAAAAAAAI1RTU0UAAAAP"),
    "hls-http": _hls("http://127.0.0.1:{port}/a.ts"),
    "hls-tcp": _hls("tcp://127.0.0.1:{port}"),
    "hls-udp": _hls("udp://127.0.0.1:{port}"),
    "hls-gopher": _hls("gopher://127.0.0.1:{port}/1", file_name="recording.mp4"),
    "hls-key": _hls("victim.ts", '#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{port}/key"\n'),
    "hls-map": _hls("victim.ts", '#EXT-X-MAP:URI="file:{folder}/victim.mp3"\n'),
    "hls-behind-id3": content(ID3 + hls("victim.mp3"), "recording.mp3"),
    "hls-behind-two-id3": content(ID3 + ID3 + hls("victim.mp3"), "recording.mp3"),
    "hls-behind-a-byte-order-mark": content(b"\xef\xbb\xbf" + hls("victim.mp3")),
    "m3u": _text("victim.mp3\n"),
    "m3u-http": _text("http://127.0.0.1:{port}/\n", "recording.m3u"),
    "pls": _text("[playlist]\nFile1=victim.mp3\nNumberOfEntries=1\n"),
    "asx": _text('<asx version="3.0"><entry><ref href="victim.mp3"/></entry></asx>', "recording.wma"),
    "asx-of-old": _text("[Reference]\nRef1=http://127.0.0.1:{port}/\n", "recording.wma"),
    "xspf": _text(
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
        "<location>file://{folder}/victim.mp3</location></track></trackList></playlist>"
    ),
    "smil": _text('<smil><body><audio src="file://{folder}/victim.mp3"/></body></smil>'),
    "ram": _text("rtsp://127.0.0.1:{port}/a.ra\n", "recording.ram"),
    "cue": _text('FILE "victim.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n', "recording.cue"),
    "ffconcat": _text("ffconcat version 1.0\nfile victim.mp3\n"),
    "ffconcat-absolute": _text("ffconcat version 1.0\nfile '{folder}/victim.mp3'\n", "recording.ffconcat"),
    "ffconcat-options": _text("ffconcat version 1.0\nfile victim.mp3\noption safe 0\n"),
    "ffconcat-behind-id3": content(ID3 + b"ffconcat version 1.0\nfile victim.mp3\n", "recording.mp3"),
    "dash": content(dash("victim.mp3"), "recording.mpd"),
    "dash-http": _text(dash("http://127.0.0.1:{port}/").decode(), "recording.mp4"),
    "imf": _text(
        '<?xml version="1.0"?><AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><AssetList><Asset>'
        "<ChunkList><Chunk><Path>victim.mp3</Path></Chunk></ChunkList></Asset></AssetList></AssetMap>"
    ),
    "sdp": content(
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    ),
    "image": content(PNG),
    "image-sequence-name": content(PNG, "victim%03d.mp3"),
    "svg": _text('<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{folder}/canary.txt"/></svg>'),
    "subtitles-srt": _text("1\n00:00:00,000 --> 00:00:05,000\nvictim.mp3\n\n", "recording.srt"),
    "subtitles-ass": _text(
        "[Script Info]\nScriptType: v4.00+\nAudio File: victim.mp3\nVideo File: victim.mp3\n\n[Events]\nFormat: "
        "Start, End, Text\nDialogue: 0:00:00.00,0:00:05.00,x\n",
        "recording.ass",
    ),
    "subtitles-sub": _text("{1}{1}25\n{0}{100}victim.mp3\n{100}{200}victim.mp3\n", "recording.sub"),
    "subtitles-idx": _text(
        "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:01:000, filepos: 0\n"
    ),
    "subtitles-vtt": _text("WEBVTT\n\n00:00.000 --> 00:05.000\nvictim.mp3\n", "recording.vtt"),
    "avisynth": _text('DirectShowSource("{folder}/victim.mp3")\n', "recording.avs"),
    "filter-graph": _text("amovie={folder}/victim.mp3[out0]\n", "recording.lavfi"),
    "metadata": _text(";FFMETADATA1\ntitle=x\n[STREAM]\nfile={folder}/victim.mp3\n"),
    "mov-alias": content(foreign_data(alias), "recording.mov"),
    "mov-url-file": content(foreign_data(_url("file://{folder}/victim.mov")), "recording.mov", "bounded"),
    "mov-url-http": content(foreign_data(_url("http://127.0.0.1:{port}/a.mov")), "recording.mov", "bounded"),
    "mov-reference-movie": content(_reference_movie, "recording.mov"),
}
"""Each is refused, for none holds a sound of its own, but the two whose own data, all zeros, ffmpeg reads instead."""
