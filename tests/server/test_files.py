"""Recordings on their way out: ranges, conditions, digests, names, and files closed with the answer."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from quart import Quart, Response
from quart.typing import TestClientProtocol as Client
from werkzeug.http import parse_options_header

from projectw_server.api.asgi import BoundedConnection, BoundedRequest
from projectw_server.api.files import Span, disposition, parse_range, send_recording
from projectw_server.storage.folder import FolderStore, StoredFile
from projectw_shared.errors import RangeNotSatisfiable
from projectw_shared.ids import new_id

CONTENT = random.Random(7).randbytes(700_001)  # the same in every worker, for the digest names tests
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'


class Watched:
    """A recording that counts what is read of it and remembers whether it was closed."""

    def __init__(self, inner: StoredFile) -> None:
        self._inner = inner
        self.read = 0
        self.open = 0
        self.given: list[AsyncGenerator[bytes, None]] = []
        """Kept, so that closing is not left to the garbage collector."""

    @property
    def size(self) -> int:
        return self._inner.size

    def pieces(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        self.given.append(self._counted(offset, length))
        return self.given[-1]

    async def _counted(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        self.open += 1
        pieces = self._inner.pieces(offset, length)
        try:
            async for piece in pieces:
                self.read += len(piece)
                yield piece
        finally:
            await pieces.aclose()
            self.open -= 1


@pytest.fixture
async def recording(tmp_path: Path) -> Watched:
    store, id = FolderStore(tmp_path), new_id()
    async with store.writing(id) as writer:
        await writer.write(CONTENT)
        await writer.commit()
    return Watched(await store.open(id))


async def always() -> bool:
    return True


@pytest.fixture
def app(recording: Watched) -> Quart:
    app = Quart(__name__)
    app.request_class = BoundedRequest
    app.asgi_http_class = BoundedConnection

    @app.get("/audio")
    async def audio() -> Response:
        return await send_recording(
            recording, file_name="Grüße.wav", media_type="audio/x-wav", sha256=SHA256, may_go_on=always
        )

    return app


@pytest.fixture
def client(app: Quart) -> Client:
    return app.test_client()


@pytest.fixture
async def port(app: Quart) -> AsyncIterator[int]:
    """The port of a real server in front of ``app``."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="none"))
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def get(client: Client, **headers: str) -> tuple[Response, bytes]:
    response = await client.get(
        "/audio", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    assert isinstance(response, Response)
    return response, await response.get_data()


async def test_the_whole_comes_with_all_that_a_client_needs_to_check_and_resume(
    client: Client, recording: Watched
) -> None:
    response, body = await get(client)
    assert (response.status_code, body) == (200, CONTENT)
    assert response.headers["Content-Length"] == str(SIZE)
    assert response.headers["Content-Type"] == "audio/x-wav"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"] == ETAG
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert recording.open == 0


async def test_a_slow_download_is_not_cut_by_the_frameworks_time_limit(app: Quart) -> None:
    async with app.test_request_context("/audio"):
        response = await app.view_functions["audio"]()
    assert response.timeout is None


@pytest.mark.parametrize(
    ("wanted", "content_range", "part"),
    [
        ("bytes=0-0", f"bytes 0-0/{SIZE}", CONTENT[:1]),
        ("bytes=300000-600000", f"bytes 300000-600000/{SIZE}", CONTENT[300000:600001]),
        ("bytes=700000-", f"bytes 700000-700000/{SIZE}", CONTENT[-1:]),
        ("bytes=-5", f"bytes 699996-700000/{SIZE}", CONTENT[-5:]),
        ("bytes=-99999999", f"bytes 0-700000/{SIZE}", CONTENT),
        ("bytes=1-99999999", f"bytes 1-700000/{SIZE}", CONTENT[1:]),
        ("Bytes= 2-3", f"bytes 2-3/{SIZE}", CONTENT[2:4]),
    ],
)
async def test_a_range_is_sent_alone(
    client: Client, recording: Watched, wanted: str, content_range: str, part: bytes
) -> None:
    response, body = await get(client, Range=wanted)
    assert (response.status_code, response.headers["Content-Range"]) == (206, content_range)
    assert body == part
    assert response.headers["Content-Length"] == str(len(part))
    assert response.headers["ETag"] == ETAG
    assert recording.read == len(part)


@pytest.mark.parametrize("wanted", ["bytes=700001-", "bytes=700001-700002", "bytes=-0"])
async def test_a_range_outside_is_refused_with_the_size(client: Client, wanted: str) -> None:
    response, body = await get(client, Range=wanted)
    assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert b"700001 bytes" in body


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "chunks=1-2",
        "bytes=1-2x",
        "",
        "bytes=٣-٤",
    ],
)
async def test_a_malformed_range_and_one_of_several_parts_is_ignored(client: Client, wanted: str) -> None:
    assert parse_range(wanted, SIZE) is None
    if wanted.isascii():
        response, body = await get(client, Range=wanted)
        assert (response.status_code, len(body)) == (200, SIZE)


@given(st.text("bytes=0123456789-, \t"), st.integers(1, 2000))
def test_no_range_reaches_outside_of_the_file(text: str, size: int) -> None:
    try:
        span = parse_range("bytes=" + text, size)
    except RangeNotSatisfiable:
        return
    assert span is None or (span.offset >= 0 and span.length > 0 and span.offset + span.length <= size)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-", 0)
    assert parse_range("bytes=0-0", 1) == Span(0, 1)


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), (f'"{"0" * 64}"', 200), (f"W/{ETAG}", 200), ("Sun, 22 Nov 2026 13:15:00 GMT", 200)],
)
async def test_a_range_of_another_version_gets_the_whole(client: Client, condition: str, status: int) -> None:
    response, _ = await get(client, Range="bytes=0-9", If_Range=condition)
    assert response.status_code == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 304), (f'"x", W/{ETAG}', 304), ("*", 304), ('"x"', 200), (SHA256, 200)],
)
async def test_what_the_client_has_is_not_sent_again(
    client: Client, recording: Watched, condition: str, status: int
) -> None:
    response, body = await get(
        client, If_None_Match=condition, Range="bytes=700001-" if status == 304 else ""
    )
    assert (response.status_code, response.headers["ETag"]) == (status, ETAG)
    assert len(body) == recording.read == (0 if status == 304 else SIZE)


async def test_head_tells_all_and_reads_nothing(port: int, recording: Watched) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HEAD /audio HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    assert answer.startswith("HTTP/1.1 200")
    assert f"\r\ncontent-length: {SIZE}\r\n" in answer
    assert f"\r\netag: {ETAG}\r\n" in answer
    assert answer.endswith("\r\n\r\n")
    assert recording.read == 0
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "name",
    [
        "talk.wav",
        "Grüße aus Köln.wav",
        'a"b\\c.wav',
        "100%.wav",
        "x; filename=y.wav",
        "日本語.mp3",
        "a b'c.wav",
    ],
)
def test_the_name_arrives_as_it_was_and_cannot_break_the_header(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    kind, options = parse_options_header(header)
    assert (kind, options["filename"]) == ("attachment", name)


async def test_the_file_is_closed_when_the_client_goes_away(port: int, recording: Watched) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    for _ in range(20):  # more than the buffers between the two ends hold
        writer.write(b"GET /audio HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1024)
    assert recording.open == 1
    assert recording.read < 20 * SIZE
    writer.transport.abort()
    async with asyncio.timeout(30):
        while recording.open:
            await asyncio.sleep(0)


async def test_an_answer_that_is_given_up_between_two_pieces_closes_the_file(
    app: Quart, recording: Watched
) -> None:
    async with app.test_request_context("/audio"):
        response = await app.view_functions["audio"]()
    async with response.response as pieces:
        assert await anext(aiter(pieces)) == CONTENT[: recording.read]
        assert recording.open == 1
    assert recording.open == 0
