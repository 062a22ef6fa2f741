"""How many connections there are, and whose: one address alone must not take those of all others."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

SHARE = 0.75
"""Of all connections, what one address may have at most."""


class Occupancy:
    """Counts the connections of a server: ``most`` in all, and of one address ``most_each``.

    None bounds nothing. For ``proxies``, behind which everybody is, the second bound does not hold.
    """

    def __init__(
        self, most: int | None = None, most_each: int | None = None, proxies: Sequence[Network] = ()
    ) -> None:
        self._most = most
        self._most_each = most_each
        if most is not None and most_each is not None:
            self._most_each = max(1, min(most_each, int(most * SHARE)))
        self._proxies = proxies
        self._by_source: Counter[str] = Counter()
        self.total = 0

    def enter(self, source: str) -> None:
        """Count a connection."""
        self.total += 1
        self._by_source[source] += 1

    def leave(self, source: str) -> None:
        """Count it no more."""
        self.total -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    def excess(self) -> int:
        """Return how many connections there are beyond the most."""
        return 0 if self._most is None else max(0, self.total - self._most)

    def excess_of(self, source: str) -> int:
        """Return how many connections an address has beyond what it may."""
        if self._most_each is None or self.is_proxy(source):
            return 0
        return max(0, self._by_source[source] - self._most_each)

    def is_proxy(self, source: str) -> bool:
        """Tell whether that is a proxy in front of this server."""
        return bool(self._proxies) and _within(source, self._proxies)


def _within(source: str, networks: Sequence[Network]) -> bool:
    try:
        found = ip_network(source)
    except ValueError:
        return False
    return any(found.overlaps(network) for network in networks if found.version == network.version)
