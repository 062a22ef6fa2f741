"""One address must not take the connections of all others."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from projectw_server.api.occupancy import Occupancy
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_server.sources import source_of

from .live import Live, serving


def filled(occupancy: Occupancy, source: str, count: int) -> Occupancy:
    for _ in range(count):
        occupancy.enter(source)
    return occupancy


def test_an_address_has_its_share_and_others_go_on() -> None:
    occupancy = filled(Occupancy(100, 10), "192.0.2.1", 12)
    assert occupancy.excess_of("192.0.2.1") == 2
    assert occupancy.excess_of("192.0.2.2") == 0
    assert occupancy.excess() == 0
    occupancy.leave("192.0.2.1")
    assert (occupancy.excess_of("192.0.2.1"), occupancy.total) == (1, 11)


def test_what_one_address_may_have_is_never_all_that_there_is() -> None:
    assert filled(Occupancy(100, 5000), "192.0.2.1", 76).excess_of("192.0.2.1") == 1


def test_a_proxy_brings_everybody() -> None:
    occupancy = filled(Occupancy(100, 10, [ip_network("10.0.0.0/24")]), "10.0.0.7", 90)
    assert occupancy.is_proxy("10.0.0.7")
    assert occupancy.excess_of("10.0.0.7") == 0
    assert not occupancy.is_proxy("10.0.1.7")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "::2", False),
    ],
)
def test_a_network_of_ipv6_is_one_source(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


@pytest.fixture
async def crowded(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    async with serving(settings, database, most=1000, most_each=1) as live:
        yield live


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_one_too_many_of_an_address_is_told_so(crowded: Live) -> None:
    first = await asyncio.open_connection("127.0.0.1", crowded.port)
    second = await asyncio.open_connection("127.0.0.1", crowded.port)
    for reader, writer in (first, second):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 20)
        assert line.startswith(b"HTTP/1.1 200 " if reader is first[0] else b"HTTP/1.1 429 ")
    rest = await asyncio.wait_for(second[0].read(), 20)
    assert b'"code":"too-many-connections"' in rest
    assert b"x-frame-options: DENY" in rest
    for _, writer in (first, second):
        writer.close()
