"""The headers that every answer carries, whoever makes it: the application, the gate, or the connection itself."""

from collections.abc import Iterable

Header = tuple[bytes, bytes]

# An answer's own value of any of these wins.
HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)

STRICT_TRANSPORT: Header = (b"strict-transport-security", b"max-age=31536000")
"""For a year the browser speaks TLS with this name alone (RFC 6797); sent over TLS alone, for elsewhere it has no
meaning."""


def completed(headers: Iterable[Header], scheme: str) -> list[Header]:
    """Return ``headers`` with those of ours that are missing, for an answer over ``scheme`` (http or https)."""
    given = [(bytes(name), bytes(value)) for name, value in headers]
    names = {name.lower() for name, _ in given}
    ours = (*HEADERS, STRICT_TRANSPORT) if scheme == "https" else HEADERS
    return [*given, *((name, value) for name, value in ours if name not in names)]
