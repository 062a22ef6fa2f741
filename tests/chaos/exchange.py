"""One request and its answer as they pass by on a connection: when they begin, what they say, when they are whole."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec

MAX_BODY_BYTES = 4 * 1024 * 1024
"""JSON beyond this is passed on unread."""

JSON_TYPES = ("application/json", "application/problem+json")


@dataclass
class Exchange:
    """What is known so far. ``body`` and ``reply`` are decoded JSON, None before they are whole and for other types."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    is_asked: bool = False
    """The whole request has been read."""
    asked_bytes: int = 0
    body: Any = None
    status: int | None = None
    reply_headers: dict[str, str] = field(default_factory=dict)
    answered_bytes: int = 0
    is_answered: bool = False
    """The whole answer has been read."""
    reply: Any = None
    call: int | None = None
    """Its number in the history."""

    @property
    def length(self) -> int:
        """The bytes that the request's body will have, 0 when it does not say."""
        return int(self.headers.get("content-length", "0"))

    @property
    def is_upload(self) -> bool:
        """It brings a recording."""
        return self.method == "POST" and self.path.partition("?")[0] == "/api/jobs"

    @property
    def answers_json(self) -> bool:
        """The answer is small and means something only when it is whole."""
        return _kind(self.reply_headers) in JSON_TYPES

    def who(self, names: Mapping[str, str]) -> str:
        """Return the id of the person who asks, or the name of the runner whose token it is by ``names``."""
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        return names.get(token) or _subject(token)


class RequestReader(httptools.HttpRequestParser):  # type: ignore[misc]  # its types are C's
    """Reads what the client sends; ``exchange`` is the one under way, None before its head is whole."""

    def __init__(self) -> None:
        super().__init__(self)
        self.exchange: Exchange | None = None
        self._next = Exchange()
        self._body = bytearray()

    def on_message_begin(self) -> None:
        self._next = Exchange()
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._next.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._next.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._next.method = self.get_method().decode()
        self.exchange = self._next

    def on_body(self, body: bytes) -> None:
        self._next.asked_bytes += len(body)
        if _kind(self._next.headers) in JSON_TYPES and len(self._body) <= MAX_BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        self._next.body = _decoded(self._body)
        self._next.is_asked = True


class AnswerReader(httptools.HttpResponseParser):  # type: ignore[misc]  # its types are C's
    """Reads what the server sends into the exchange that it answers."""

    def __init__(self) -> None:
        super().__init__(self)
        self.exchange = Exchange()
        self._body = bytearray()

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.exchange.reply_headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.exchange.status = self.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.exchange.answered_bytes += len(body)
        if self.exchange.answers_json and len(self._body) <= MAX_BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        self.exchange.reply = _decoded(self._body)
        self.exchange.is_answered = True


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip()


def _decoded(body: bytearray) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return None


def _subject(token: str) -> str:
    """Return whom an access token is for, without asking whether it is genuine."""
    try:
        claims = token.split(".")[1]
        subject = msgspec.json.decode(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
        return str(subject)
    except (IndexError, KeyError, TypeError, binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return ""
