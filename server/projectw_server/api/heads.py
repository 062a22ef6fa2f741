"""The heads of requests that are refused before anything behind the connection sees them.

The parser (llhttp) refuses by itself what two readers could take for different requests: Content-Length beside
Transfer-Encoding or twice, an encoding that does not end in chunked, folded headers, lines without a carriage return.
"""

import re
from collections.abc import Sequence

from projectw_shared.errors import (
    BadRequest,
    ExpectationFailed,
    HeadersTooLarge,
    ProjectWError,
    TargetTooLong,
    TooLarge,
)

Header = tuple[bytes, bytes]

MAX_HEADERS = 128
MAX_TARGET_BYTES = 32 * 1024
"""The settings of a job may stand in the query."""

MAX_UNREAD_BYTES = 64 * 1024
"""The largest body of a request whose method gives it no meaning, and that nobody reads."""

VERSIONS = ("1.0", "1.1")

_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@]+)(?P<rest>[/?].*)?", re.IGNORECASE | re.DOTALL)


def target_too_long(target: bytes) -> ProjectWError | None:
    """Return what is wrong with a target that is so long, None if nothing."""
    if len(target) <= MAX_TARGET_BYTES:
        return None
    return TargetTooLong(f"An address has at most {MAX_TARGET_BYTES} bytes here")


def too_many(headers: Sequence[Header]) -> ProjectWError | None:
    """Return what is wrong with so many headers, None if nothing."""
    return (
        None
        if len(headers) <= MAX_HEADERS
        else HeadersTooLarge(f"A request has at most {MAX_HEADERS} headers")
    )


def mistake(method: bytes, target: bytes, version: str, headers: Sequence[Header]) -> ProjectWError | None:
    """Return what is wrong with a head that the parser has accepted, None if nothing."""
    if version not in VERSIONS:
        return BadRequest("This server speaks HTTP/1.1 and HTTP/1.0")
    if not _is_target(method, target):
        return BadRequest("The address of a request begins with '/' or with http:// and a host")
    found = {name: value.strip().lower() for name, value in headers}
    coding = found.get(b"transfer-encoding")
    if coding is not None and (coding != b"chunked" or version == "1.0"):
        return BadRequest(
            "A body comes with Content-Length, or in HTTP/1.1 with Transfer-Encoding: chunked alone"
        )
    if found.get(b"expect", b"100-continue") != b"100-continue":
        return ExpectationFailed()
    if method in (b"GET", b"HEAD") and _is_much(found.get(b"content-length"), coding):
        return TooLarge(
            f"A {method.decode()} needs no body; one of up to {MAX_UNREAD_BYTES} bytes is passed over"
        )
    return None


def switches_with_a_body(method: bytes, headers: Sequence[Header]) -> ProjectWError | None:
    """Return what is wrong with a head after which another protocol is to be spoken, None if nothing.

    The parser ends such a request with its head, so that a body would be taken for the next request.
    """
    found = dict(headers)
    if method == b"CONNECT":
        return BadRequest("This server is no proxy")
    if b"transfer-encoding" in found or found.get(b"content-length", b"0").strip(b"0 \t"):
        return BadRequest("This server speaks no other protocol; send a body without the header Upgrade")
    return None


def in_origin_form(target: bytes, headers: Sequence[Header]) -> tuple[bytes, list[Header]]:
    """Return a target without its host, which takes the place of the header Host then (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return target, list(headers)
    rest = found["rest"] or b"/"
    return (
        rest if rest.startswith(b"/") else b"/" + rest,
        [*((name, value) for name, value in headers if name != b"host"), (b"host", found["authority"])],
    )


def _is_target(method: bytes, target: bytes) -> bool:
    if target == b"*":
        return method == b"OPTIONS"
    return target.startswith(b"/") or _ABSOLUTE.fullmatch(target) is not None


def _is_much(length: bytes | None, coding: bytes | None) -> bool:
    return coding is not None or (length is not None and int(length) > MAX_UNREAD_BYTES)
