"""Which pages of other origins may call this server from a browser: none unless configured (CORS, the Fetch standard).

Without cookies and a browser's own log-in, of which there are none: a page sends the token that it has itself.
"""

from collections.abc import Iterable
from typing import Any

from projectw_server.api.headers import Header

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, Range, Tus-Resumable, "
    b"Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, X-Request-ID"
)
ANSWER_HEADERS = (
    b"Content-Disposition, Content-Range, ETag, Location, Repr-Digest, Retry-After, Tus-Extension, Tus-Max-Size, "
    b"Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Offset, X-Request-ID"
)
REMEMBERED_SECONDS = b"600"


class Cors:
    """The origins that are configured, compared as they stand."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = {origin.encode() for origin in origins}

    def headers(self, scope: Any) -> list[Header]:
        """Return what the answer to a request carries for its origin; nothing where no origin is configured."""
        if not self._origins:
            return []
        told: list[Header] = [(b"vary", b"Origin")]
        if (origin := _only(scope, b"origin")) in self._origins:
            told += [
                (b"access-control-allow-origin", origin or b""),
                (b"access-control-expose-headers", ANSWER_HEADERS),
            ]
        return told

    def preflight(self, scope: Any) -> list[Header] | None:
        """Return the headers that answer a browser's question before its request.

        None when this is no such question, or not from an origin that is configured.
        """
        if scope["method"] != "OPTIONS" or _only(scope, b"access-control-request-method") is None:
            return None
        if _only(scope, b"origin") not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", REQUEST_HEADERS),
            (b"access-control-max-age", REMEMBERED_SECONDS),
        ]


def _only(scope: Any, wanted: bytes) -> bytes | None:
    found = [bytes(value) for name, value in scope["headers"] if name == wanted]
    return found[0] if len(found) == 1 else None
