"""Whom an address of the network stands for, where people are counted by theirs."""

from ipaddress import ip_address, ip_network

PREFIX = 64
"""Bits of an IPv6 address that make its network: whoever has one has all of its addresses."""

UNKNOWN = "unknown"


def source_of(address: str | None) -> str:
    """Return what counts as one: an address of IPv4, a network of IPv6; what is no address stands for itself."""
    if address is None:
        return UNKNOWN
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    # Loopback's only address is not a network of somebody's.
    return str(found) if found.is_loopback else str(ip_network((found, PREFIX), strict=False))
