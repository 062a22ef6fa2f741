"""``multipart/form-data`` (RFC 7578), read while it arrives: a recording and, before or after it, its settings."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from projectw_shared.errors import BadRequest, Invalid

R = TypeVar("R")
Events = AsyncGenerator[Event, None]

MAX_SETTINGS_BYTES = 64 * 1024
FORM_OVERHEAD_BYTES = 256 * 1024
"""What a body may have around the recording: settings, headers of the parts, boundaries."""

_SLICE_BYTES = 256 * 1024
"""How much the decoder gets at a time."""

_BUFFER_BYTES = 3 * _SLICE_BYTES
"""The most that waits in the decoder: without a limit a body that has no boundary would fill the memory."""

_PADDING_BYTES = 64
"""How far behind a boundary its end is looked for."""

_BOUNDARY = re.compile(r"[\x20-\x7e]{0,69}[\x21-\x7e]")


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that the header ``Content-Type`` of a form announces (RFC 2046, 5.1.1)."""
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if kind.lower() != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("A form is sent as multipart/form-data with a boundary of 1 to 70 characters")
    return boundary.encode("ascii")


async def read_form(
    chunks: AsyncIterable[bytes],
    boundary: bytes,
    receive: Callable[[AsyncIterable[bytes], str], Awaitable[R]],
    discard: Callable[[R], Awaitable[None]],
) -> tuple[R, str, str | None]:
    """Read a form out of ``chunks``: what ``receive`` made of the file, its name as sent, and the settings.

    The file is received while it arrives, so the settings may follow it; when anything after it is wrong,
    also when the caller is cancelled, it is discarded. Raises ``Invalid`` for a form with other parts than
    one ``file`` and at most one ``settings``, and ``BadRequest`` for what is no form.
    """
    reading = _FormReading(receive)
    try:
        async with aclosing(_events(chunks, boundary)) as events:
            async for event in events:
                if isinstance(event, File | Field):
                    await reading.take(event, events)
        return reading.result()
    except BaseException:  # raised again: whatever ended the form, a cancelled request too, nothing stays
        for received in reading.received:
            await discard(received)
        raise


class _FormReading(Generic[R]):
    def __init__(self, receive: Callable[[AsyncIterable[bytes], str], Awaitable[R]]) -> None:
        self._receive = receive
        self._file_name = ""
        self._settings: str | None = None
        self.received: list[R] = []

    async def take(self, part: File | Field, events: Events) -> None:
        match part.name:
            case "file" if not self.received:
                self._file_name = part.filename if isinstance(part, File) else ""
                self.received.append(await self._receive(_content(events), self._file_name))
            case "settings" if self._settings is None:
                self._settings = await _small_text(_content(events))
            case "file" | "settings":
                raise Invalid(f"The form has two parts called {part.name!r}; send one recording at a time")
            case other:
                raise Invalid(f"The form has a part called {other!r}; it may have 'file' and 'settings'")

    def result(self) -> tuple[R, str, str | None]:
        if not self.received:
            raise Invalid("The form has no part called 'file'; send the recording as that")
        return self.received[0], self._file_name, self._settings


async def _small_text(content: AsyncIterable[bytes]) -> str:
    text = bytearray()
    async for piece in content:
        text += piece
        if len(text) > MAX_SETTINGS_BYTES:
            raise Invalid(f"The settings have at most {MAX_SETTINGS_BYTES} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Invalid("The settings are JSON in UTF-8") from error


async def _content(events: Events) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of the part that ``events`` is in."""
    async for event in events:
        assert isinstance(event, Data), "the decoder gives a part's data before the next part"
        if event.data:
            yield event.data
        if not event.more_data:
            return


async def _events(chunks: AsyncIterable[bytes], boundary: bytes) -> Events:
    decoder = MultipartDecoder(boundary, max_form_memory_size=_BUFFER_BYTES)
    undecided = re.compile(b"--%b(-?|[ \\t]*)\\Z" % re.escape(boundary))
    try:
        async for piece in _pieces(chunks):
            decoder.receive_data(piece)
            # werkzeug 3.1.9, given data that ends within what closes a boundary, adds the carriage return
            # before that boundary to the part.
            tail = max(0, len(decoder.buffer) - len(boundary) - _PADDING_BYTES)
            if piece is not None and undecided.search(decoder.buffer, tail):
                continue
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                yield event
            if isinstance(event, Epilogue):
                return
    except RequestEntityTooLarge as error:
        raise BadRequest("The body has no part where its boundary announces one") from error
    except ValueError as error:
        raise BadRequest(f"The form cannot be read, or it broke off: {error}") from error


async def _pieces(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes | None, None]:
    """Yield ``chunks`` in slices, and None at the end."""
    async for chunk in chunks:
        for start in range(0, len(chunk), _SLICE_BYTES):
            yield chunk[start : start + _SLICE_BYTES]
    yield None
