"""What a proxy says of where a request comes from is taken over only as far as that can be so."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared import routes

from .live import Live, serving


@pytest.fixture
async def live(settings: ServerSettings, database: Database) -> AsyncIterator[Live]:
    """A server that believes a proxy on this machine."""
    async with serving(settings, database) as live:
        yield live


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("garbage, 203.0.113.9", "203.0.113.9"),
        ("garbage", "127.0.0.1"),
        ("203.0.113.9, 999.1.1.1", "127.0.0.1"),
        ("\xff\xfe", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_the_audit_log_gets_an_address_whatever_is_passed_on(
    live: Live, database: Database, said: str, noted: str
) -> None:
    body = {"email": "ada@example.org", "password": "wrong"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(live.url + routes.LOGIN, json=body, headers={"X-Forwarded-For": said}) as answer,
    ):
        assert answer.status == 401
    (row,) = await database.rows("SELECT address FROM audit")
    assert row["address"] == noted


@pytest.mark.parametrize(
    ("scheme", "is_https"),
    [("https", True), ("wss", True), ("http", False), ("ws", False), ("gopher", False)],
)
async def test_a_request_comes_by_http_or_https_and_by_nothing_else(
    live: Live, scheme: str, is_https: bool
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(live.url + routes.ABOUT, headers={"X-Forwarded-Proto": scheme}) as answer,
    ):
        assert answer.status == 200
        assert ("Strict-Transport-Security" in answer.headers) is is_https
