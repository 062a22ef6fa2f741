"""What the settings say of the way to the server: names, networks and origins, and whether that way is safe."""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from projectw_server.settings import ServerSettings
from projectw_shared.addresses import is_loopback
from projectw_shared.config import ConfigError, Mistake

BARE = (
    "listens beyond this machine, where recordings, passwords and tokens would cross the network unencrypted: set "
    "tls_certificate_file and tls_key_file; or trusted_proxies, to the address of a proxy that speaks TLS; or, where "
    "all of the network is trusted, insecure_plain_http: true"
)

WIDEST = {4: 8, 6: 7}
"""The shortest prefixes of networks of proxies, by the version of IP: those of the largest private networks."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]|[0-9a-f:.]+", re.IGNORECASE)


def check(settings: ServerSettings) -> None:
    """Raise ConfigError for all that is wrong with how the server is to be reached."""
    mistakes = [
        *_tls_mistakes(settings),
        *_url_mistakes(settings),
        *_host_mistakes(settings.allowed_hosts),
        *_proxy_mistakes(settings.trusted_proxies),
        *_origin_mistakes(settings.cors_origins),
    ]
    if not is_protected(settings) and not is_here(settings.host):
        mistakes.append(Mistake("server.host", None, BARE))
    if mistakes:
        raise ConfigError(mistakes)


def is_protected(settings: ServerSettings) -> bool:
    """Tell whether connections from other machines are as the operator wants them."""
    return bool(settings.tls_certificate_file or settings.trusted_proxies or settings.insecure_plain_http)


def proxies(settings: ServerSettings) -> list[IPv4Network | IPv6Network]:
    """Return the networks of the proxies in front."""
    return [ip_network(each, strict=False) for each in settings.trusted_proxies]


def is_here(host: str) -> bool:
    """Tell whether every address of ``host`` is this machine's own; one that has none cannot be listened on."""
    if is_loopback(host):
        return True
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return True
    return all(is_loopback(str(address[0])) for *_, address in found)


def _tls_mistakes(settings: ServerSettings) -> Iterable[Mistake]:
    if settings.tls_certificate_file and not settings.tls_key_file:
        yield Mistake(
            "server.tls_key_file", None, "is needed with tls_certificate_file: the certificate's private key"
        )
    if settings.tls_key_file and not settings.tls_certificate_file:
        yield Mistake(
            "server.tls_certificate_file", None, "is needed with tls_key_file: the certificate of that key"
        )


def _url_mistakes(settings: ServerSettings) -> Iterable[Mistake]:
    if settings.public_url is not None and not _is_origin(settings.public_url.rstrip("/")):
        reason = (
            f"{settings.public_url!r} is no address of a server; write it like https://projectw.example.org"
        )
        yield Mistake("server.public_url", None, reason)


def _host_mistakes(hosts: Iterable[str]) -> Iterable[Mistake]:
    for number, host in enumerate(hosts):
        if not _NAME.fullmatch(host) or host.count(":") == 1:
            reason = f"{host!r} is no name of a host; write it without http://, port and path, one name each"
            yield Mistake(f"server.allowed_hosts.{number}", None, reason)


def _proxy_mistakes(networks: Iterable[str]) -> Iterable[Mistake]:
    for number, network in enumerate(networks):
        place = f"server.trusted_proxies.{number}"
        try:
            parsed = ip_network(network, strict=False)
        except ValueError:
            reason = f"{network!r} is no address and no network; write it like 10.0.0.5 or 10.0.0.0/24"
            yield Mistake(place, None, reason)
            continue
        if parsed.prefixlen < WIDEST[parsed.version]:
            reason = (
                f"{network!r} is nearly everybody, who could then claim to come from any address and by https; "
                f"name the proxy's network, of /{WIDEST[parsed.version]} at most"
            )
            yield Mistake(place, None, reason)


def _origin_mistakes(origins: Iterable[str]) -> Iterable[Mistake]:
    for number, origin in enumerate(origins):
        if not _is_origin(origin) or origin != origin.lower():
            reason = (
                f"{origin!r} is no origin; write it in full and in small letters, like https://app.example.org, "
                "without a path"
            )
            yield Mistake(f"server.cors_origins.{number}", None, reason)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_port = parts.port is not None
    except ValueError:
        return False
    name = parts.netloc.rpartition(":")[0] if has_port else parts.netloc
    return (
        parts.scheme in ("http", "https")
        and _NAME.fullmatch(name) is not None
        and text.lower() == f"{parts.scheme}://{parts.netloc}".lower()
    )
