"""Forms are read while they arrive, in any chunks and any order, and refused with what was wrong."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from projectw_server.uploads.forms import MAX_SETTINGS_BYTES, boundary_of, read_form
from projectw_shared.errors import BadRequest, Invalid, ProjectWError

BOUNDARY = b"----WebKitFormBoundaryABC"


def part(disposition: str, content: bytes, line: bytes = b"") -> bytes:
    return b"--%b\r\nContent-Disposition: form-data; %b\r\n%b\r\n%b\r\n" % (
        BOUNDARY,
        disposition.encode(),
        line,
        content,
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY


FILE = part('name="file"; filename="talk.wav"', b"recording", b"Content-Type: audio/wav\r\n")
SETTINGS = part('name="settings"', b'{"model": "tiny"}')


class Desk:
    """Receives recordings into a list."""

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.discarded: list[bytes] = []

    async def receive(self, content: AsyncIterable[bytes], _name: str) -> bytes:
        self.held.append(b"".join([piece async for piece in content]))
        return self.held[-1]

    async def discard(self, received: bytes) -> None:
        self.held.remove(received)
        self.discarded.append(received)

    async def read(self, body: bytes, size: int = 1000) -> tuple[bytes, str, str | None]:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), size):
                yield body[start : start + size]

        return await read_form(chunks(), BOUNDARY, self.receive, self.discard)


@pytest.mark.parametrize("size", [1, 2, 13, 1000])
@pytest.mark.parametrize("parts", [(FILE, SETTINGS), (SETTINGS, FILE)])
async def test_the_parts_come_in_any_order_and_any_chunks(parts: tuple[bytes, ...], size: int) -> None:
    assert await Desk().read(form(*parts), size) == (b"recording", "talk.wav", '{"model": "tiny"}')


async def test_settings_are_optional() -> None:
    assert await Desk().read(form(FILE)) == (b"recording", "talk.wav", None)


@given(st.binary(max_size=5000), st.integers(1, 600))
def test_every_content_survives_every_cut(content: bytes, size: int) -> None:
    content = b"\r\n--" + BOUNDARY[:-1] + content + b"\r\n--"
    assume(BOUNDARY not in content)
    body = form(part('name="file"; filename="x"', content))
    assert asyncio.run(Desk().read(body, size))[0] == content


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("name=\"file\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.wav", "Grüße.wav"),
        ('name="file"; filename="G.wav"; filename*=UTF-8\'\'Gr%C3%BC%C3%9Fe.wav', "Grüße.wav"),
        ('name="file"; filename="Grüße.wav"', "Grüße.wav"),
        ('name="file"; filename=""', ""),
        ('name="file"', ""),
    ],
)
async def test_the_file_name_is_read_in_every_spelling(disposition: str, name: str) -> None:
    assert (await Desk().read(form(part(disposition, b"x"))))[1] == name


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (form(FILE, FILE), "two parts called 'file'; send one recording at a time"),
        (form(SETTINGS, FILE, SETTINGS), "two parts called 'settings'"),
        (form(FILE, part('name="fiel"', b"x")), "part called 'fiel'; it may have 'file' and 'settings'"),
        (form(part('filename="x"', b"x")), "part called None"),
        (form(SETTINGS), "no part called 'file'"),
        (form(), "no part called 'file'"),
        (form(FILE, part('name="settings"', b"x" * (MAX_SETTINGS_BYTES + 1))), "at most 65536 bytes"),
        (form(FILE, part('name="settings"', b"\xff")), "UTF-8"),
    ],
)
async def test_a_form_with_the_wrong_parts_is_refused_and_what_it_brought_discarded(
    body: bytes, words: str
) -> None:
    desk = Desk()
    with pytest.raises(Invalid, match=words):
        await desk.read(body)
    assert desk.held == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        FILE[:-20],
        FILE,
        form(FILE).removesuffix(b"--\r\n"),
        b"--" + BOUNDARY + b"\r\nContent-Type: audio/wav\r\n\r\nx\r\n--" + BOUNDARY + b"--",
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx',
    ],
)
async def test_what_breaks_off_or_is_no_form_is_refused(body: bytes) -> None:
    desk = Desk()
    with pytest.raises(BadRequest):
        await desk.read(body)
    assert desk.held == []


@pytest.mark.parametrize("start", [b"x", b"--" + BOUNDARY + b"\r\nContent-Disposition: x"])
async def test_a_body_without_parts_does_not_gather_in_memory(start: bytes) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield start
        while True:
            read += 65536
            yield b"x" * 65536

    with pytest.raises(BadRequest):
        await read_form(endless(), BOUNDARY, Desk().receive, Desk().discard)
    assert read < 1024 * 1024


async def test_a_large_file_passes_through_bounded_memory() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield FILE.partition(b"recording")[0]
        for _ in range(64):
            yield b"\r\n" * 256 * 1024
        yield b"\r\n--" + BOUNDARY + b"--\r\n"

    async def count(content: AsyncIterable[bytes], _name: str) -> int:
        return sum([len(piece) async for piece in content])

    async def discard(_received: int) -> None:
        raise AssertionError("nothing is wrong with this form")

    tracemalloc.start()
    try:
        received, _, _ = await read_form(body(), BOUNDARY, count, discard)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received == 64 * 512 * 1024
    assert peak < 8 * 1024 * 1024


async def test_a_caller_cancelled_behind_the_file_discards_it() -> None:
    desk = Desk()
    waiting = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield FILE + b"--" + BOUNDARY + b"\r\n"
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(read_form(stalling(), BOUNDARY, desk.receive, desk.discard))
    await waiting.wait()
    assert desk.held == [b"recording"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.discarded == [b"recording"]


def test_the_boundary_is_read_as_it_is_announced() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b:c"') == b"a b:c"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "audio/wav",
        "multipart/mixed; boundary=abc",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="ü"',
        'multipart/form-data; boundary="x "',
    ],
)
def test_a_form_without_a_proper_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(ProjectWError, match="boundary of 1 to 70 characters"):
        boundary_of(content_type)
