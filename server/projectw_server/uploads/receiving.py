"""Receiving a recording: bounded, counted, timed, looked at, hashed, and on the disk before it is acknowledged."""

from collections.abc import AsyncIterable
from dataclasses import dataclass

from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore, StoredFile, Writer
from projectw_server.uploads.file_names import file_name_of
from projectw_server.uploads.forms import FORM_OVERHEAD_BYTES, boundary_of, read_form
from projectw_server.uploads.sniffing import HEAD_BYTES, refuse_what_is_no_media
from projectw_shared.errors import BadRequest, Invalid, StorageFull, TooLarge
from projectw_shared.ids import new_id

__all__ = ["Received", "Receiving", "file_name_of"]

ROOM_CHECK_BYTES = 64 * 1024 * 1024
"""How much of one recording comes in before the room on the disk is looked at again."""


@dataclass(frozen=True)
class Received:
    """A recording that is complete and durable, under an id that its job takes over."""

    id: str
    bytes: int
    sha256: str
    media_type: str


class Receiving:
    """The recordings of one server, on their way in and out.

    What ``receive`` has returned is the caller's: either a job of that id comes to be, or it is discarded.
    A caller that is cancelled while its job may already have been written must not discard; the sweep of
    orphans decides then.
    """

    def __init__(self, store: FolderStore, settings: ServerSettings) -> None:
        self._store = store
        self._settings = settings

    async def receive(
        self, chunks: AsyncIterable[bytes], *, declared: int | None, file_name: str
    ) -> Received:
        """Store what ``chunks`` bring and return it; after any error nothing of it is left.

        ``declared`` is the length that was announced, or None. Raises ``TooLarge``, ``StorageFull``,
        ``UnsupportedMedia``, ``Invalid`` for an empty recording, and ``BadRequest`` for one that breaks off.
        """
        await self.admit(declared)
        id = new_id()
        async with self._store.writing(id) as writer:
            reception = _Reception(self, writer, file_name)
            async for chunk in chunks:
                await reception.take(chunk)
            if declared is not None and reception.bytes < declared:
                raise BadRequest(
                    f"The upload broke off after {reception.bytes} of {declared} bytes; send it again"
                )
            return await reception.finish(id)

    async def receive_form(
        self, chunks: AsyncIterable[bytes], *, content_type: str, declared: int | None
    ) -> tuple[Received, str, str | None]:
        """Receive a ``multipart/form-data`` body: the recording, its file name, and the settings (JSON) if any.

        ``declared`` is the length of the whole body, or None.
        """
        boundary = boundary_of(content_type)
        await self.admit(None if declared is None else max(0, declared - FORM_OVERHEAD_BYTES))

        async def receive(part: AsyncIterable[bytes], file_name: str) -> Received:
            return await self.receive(part, declared=None, file_name=file_name_of(file_name))

        async def discard(received: Received) -> None:
            await self.discard(received.id)

        received, file_name, settings = await read_form(chunks, boundary, receive, discard)
        return received, file_name_of(file_name), settings

    async def admit(self, declared: int | None) -> None:
        """Refuse, before anything is read, a recording that is too large or for which there is no room."""
        if declared is not None:
            self.check_length(declared)
        await self.check_room(declared or 0)

    def check_length(self, length: int) -> None:
        """Raise ``TooLarge`` when a recording of ``length`` bytes is not accepted."""
        limit = self._settings.max_upload_bytes
        if length > limit:
            raise TooLarge(
                f"The recording is larger than {in_words(limit)}, the most that this server accepts"
            )

    async def check_room(self, expected: int) -> None:
        """Raise ``StorageFull`` when ``expected`` more bytes would leave less than the floor."""
        if await self._store.free_bytes() - expected < self._settings.min_free_bytes:
            raise StorageFull(
                "The server's disk has no room for this recording; its operator has to make some"
            )

    async def open(self, id: str) -> StoredFile:
        """Return the recording ``id``, to be sent; ``NotFound`` when it is gone."""
        return await self._store.open(id)

    async def discard(self, id: str) -> None:
        """Remove the recording ``id``, if it is there."""
        await self._store.delete(id)


class _Reception:
    """One recording coming in."""

    def __init__(self, receiving: Receiving, writer: Writer, file_name: str) -> None:
        self._receiving = receiving
        self._writer = writer
        self._file_name = file_name
        self._head = bytearray()
        self._media_type: str | None = None
        self._next_room_check = ROOM_CHECK_BYTES
        self.bytes = 0

    async def take(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self._receiving.check_length(self.bytes)
        if self._media_type is None:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                self._sniff()
        if self.bytes >= self._next_room_check:
            self._next_room_check = self.bytes + ROOM_CHECK_BYTES
            await self._receiving.check_room(0)
        await self._writer.write(chunk)

    async def finish(self, id: str) -> Received:
        if self.bytes == 0:
            raise Invalid("The recording is empty; send a file with sound in it")
        media_type = self._media_type or self._sniff()
        return Received(id, self.bytes, await self._writer.commit(), media_type)

    def _sniff(self) -> str:
        self._media_type = refuse_what_is_no_media(bytes(self._head), self._file_name)
        return self._media_type


def in_words(size: int) -> str:
    """Return ``size`` bytes as a person says it: ``50 GiB``, ``1.5 MiB``, ``800 bytes``."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{round(size / unit, 1):g} {name}"
    return f"{size} bytes"
