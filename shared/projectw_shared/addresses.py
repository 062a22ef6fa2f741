"""Addresses of servers: what is one, and when recordings may travel to it unencrypted."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def check_server_url(url: str, *, allow_plain_http: bool = False) -> str:
    """Return ``url`` without a trailing slash, or raise ValueError that says what would be right.

    Plain http is accepted to loopback, and elsewhere only when a setting says so: tokens and recordings
    would cross the network in the clear.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a server address carries no user name or password; write it without them")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r} is no server address; write it without what follows '?' or '#'")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no server address; write it like https://projectw.example.org")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no server address; a port is a number from 0 to 65535") from error
    if parts.scheme == "http" and not allow_plain_http and not is_loopback(parts.hostname):
        raise ValueError(
            f"{url} would send recordings and tokens unencrypted; use https:, "
            "or set allow_plain_http if the network between is trusted"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
