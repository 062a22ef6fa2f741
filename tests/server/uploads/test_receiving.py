"""Receiving: counted, bounded, timed, and nothing left after anything goes wrong."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.receiving import ROOM_CHECK_BYTES, Receiving, in_words
from projectw_shared.errors import (
    BadRequest,
    Invalid,
    NotFound,
    StorageFull,
    TooLarge,
    UnsupportedMedia,
)

MIB = 1024 * 1024
WAV = b"RIFF\x24\x08\0\0WAVEfmt " + bytes(2048)

Stored = Callable[[], list[str]]


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def never() -> AsyncIterator[bytes]:
    raise AssertionError("this upload is refused before anything of it is read")
    yield b""


@pytest.mark.parametrize("size", [7, 4096, 10 * MIB])
async def test_a_recording_is_stored_whole_whatever_its_chunks(
    receiving: Receiving, stored: Stored, size: int
) -> None:
    content = WAV + os.urandom(20_000 if size == 7 else 3 * MIB)
    received = await receiving.receive(cut(content, size), declared=len(content), file_name="a.wav")
    assert (received.bytes, received.media_type) == (len(content), "audio/x-wav")
    assert received.sha256 == hashlib.sha256(content).hexdigest()
    assert stored() == [received.id]
    recording = await receiving.open(received.id)
    assert b"".join([piece async for piece in recording.pieces()]) == content


async def test_a_recording_shorter_than_the_head_is_looked_at_too(
    receiving: Receiving, stored: Stored
) -> None:
    await receiving.receive(cut(WAV[:30], 5), declared=None, file_name="a.wav")
    with pytest.raises(UnsupportedMedia, match="a playlist"):
        await receiving.receive(cut(b"#EXTM3U\n", 3), declared=None, file_name="a.wav")
    assert len(stored()) == 1


async def test_what_is_no_recording_is_refused_before_it_has_all_arrived(receiving: Receiving) -> None:
    seen = 0

    async def document() -> AsyncIterator[bytes]:
        nonlocal seen
        for _ in range(100):
            seen += 1
            yield b"%PDF-1.7\n" + bytes(4096)

    with pytest.raises(UnsupportedMedia, match="a PDF document"):
        await receiving.receive(document(), declared=None, file_name="talk.mp3")
    assert seen <= 3


async def test_a_declared_length_over_the_limit_is_refused_unread(
    receiving: Receiving, stored: Stored
) -> None:
    with pytest.raises(TooLarge, match="larger than 8 MiB, the most that this server accepts"):
        await receiving.receive(never(), declared=8 * MIB + 1, file_name="a.wav")
    assert stored() == []


async def test_an_undeclared_length_is_counted_while_it_comes(receiving: Receiving, stored: Stored) -> None:
    exact = WAV + bytes(8 * MIB - len(WAV))
    await receiving.receive(cut(exact, MIB), declared=None, file_name="a.wav")
    with pytest.raises(TooLarge):
        await receiving.receive(cut(exact + b"\0", MIB), declared=None, file_name="a.wav")
    assert len(stored()) == 1


async def test_an_upload_that_breaks_off_or_is_empty_leaves_nothing(
    receiving: Receiving, stored: Stored
) -> None:
    with pytest.raises(BadRequest, match=f"broke off after {len(WAV)} of 9999 bytes"):
        await receiving.receive(cut(WAV, 500), declared=9999, file_name="a.wav")
    with pytest.raises(Invalid, match="empty"):
        await receiving.receive(cut(b"", 500), declared=0, file_name="a.wav")
    assert stored() == []


async def test_an_upload_whose_client_goes_away_leaves_nothing(receiving: Receiving, stored: Stored) -> None:
    waiting = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield WAV + bytes(2 * MIB)
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(receiving.receive(stalling(), declared=None, file_name="a.wav"))
    await waiting.wait()
    assert len(stored()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored() == []


async def test_a_disk_below_the_floor_takes_nothing(store: FolderStore) -> None:
    free = await store.free_bytes()
    receiving = Receiving(store, ServerSettings(min_free_bytes=2 * free))
    with pytest.raises(StorageFull, match="no room"):
        await receiving.receive(never(), declared=None, file_name="a.wav")
    receiving = Receiving(store, ServerSettings(min_free_bytes=free // 2, max_upload_bytes=2 * free))
    with pytest.raises(StorageFull):
        await receiving.receive(never(), declared=free, file_name="a.wav")


async def test_the_floor_holds_while_an_undeclared_upload_grows(tmp_path: Path) -> None:
    class Shrinking(FolderStore):
        room = 2 * ROOM_CHECK_BYTES

        async def free_bytes(self) -> int:
            return self.room

        def write_out(self, file: int, data: bytes) -> None:
            self.room -= len(data)

    receiving = Receiving(Shrinking(tmp_path), ServerSettings(min_free_bytes=ROOM_CHECK_BYTES + 4 * MIB))

    async def endless() -> AsyncIterator[bytes]:
        yield WAV
        for _ in range(2 * ROOM_CHECK_BYTES // MIB):
            yield bytes(MIB)

    with pytest.raises(StorageFull):
        await receiving.receive(endless(), declared=None, file_name="a.wav")


async def test_a_discarded_recording_is_gone_and_discarding_again_is_harmless(
    receiving: Receiving, stored: Stored
) -> None:
    received = await receiving.receive(cut(WAV, 500), declared=None, file_name="a.wav")
    await receiving.discard(received.id)
    await receiving.discard(received.id)
    assert stored() == []
    with pytest.raises(NotFound):
        await receiving.open(received.id)


async def test_a_form_is_received_with_its_settings(receiving: Receiving, stored: Stored) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="C:\\\\me\\\\talk.wav"\r\n\r\n'
        + WAV
        + b'\r\n--b\r\nContent-Disposition: form-data; name="settings"\r\n\r\n{"model": "tiny"}\r\n--b--\r\n'
    )
    received, name, settings = await receiving.receive_form(
        cut(body, 100), content_type='multipart/form-data; boundary="b"', declared=len(body)
    )
    assert (received.bytes, name, settings) == (len(WAV), "talk.wav", '{"model": "tiny"}')
    assert stored() == [received.id]


async def test_a_form_that_is_wrong_behind_its_recording_leaves_nothing(
    receiving: Receiving, stored: Stored
) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + WAV
    more = b'\r\n--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n'
    for whole in (body + more, body, body + b"\r\n--b\r\n"):
        with pytest.raises((Invalid, BadRequest)):
            await receiving.receive_form(
                cut(whole, 999), content_type="multipart/form-data; boundary=b", declared=None
            )
    assert stored() == []


async def test_a_form_over_the_limit_is_refused_unread(receiving: Receiving) -> None:
    with pytest.raises(TooLarge):
        await receiving.receive_form(
            never(), content_type="multipart/form-data; boundary=b", declared=9 * MIB
        )


@pytest.mark.parametrize(
    ("size", "words"), [(800, "800 bytes"), (1536, "1.5 KiB"), (8 * MIB, "8 MiB"), (50 << 30, "50 GiB")]
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert in_words(size) == words
