"""What a trusted proxy says of where a request comes from, as far as that can be so.

The server takes over whatever stands in X-Forwarded-For and X-Forwarded-Proto: also what a client wrote there, where a
proxy passes it on. Limits and the audit log are to see an address.
"""

from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Any, Final

PEER: Final = "projectw.peer"
"""Where a request's scope has the address that its connection comes from."""

SCHEMES: Final = {"ws": "http", "wss": "https"}


def settle(scope: MutableMapping[str, Any]) -> None:
    """Put the connection's own address in place of what is none, and a scheme of HTTP in place of a WebSocket's."""
    client = scope.get("client")
    if PEER in scope and not (client and _is_address(client[0])):
        scope["client"] = scope[PEER]
    scheme = scope.get("scheme", "http")
    scope["scheme"] = SCHEMES.get(scheme, scheme)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
