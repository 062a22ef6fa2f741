"""For whom the server answers: under its own names, and to pages of origins that are configured."""

import platform
from typing import Any

import pytest
from msgspec.structs import replace
from quart.typing import TestClientProtocol as Client

from projectw_server.api.hosts import Hosts
from projectw_server.app import create_app
from projectw_server.db import Database
from projectw_server.settings import ServerSettings

LOCAL = ServerSettings()
PUBLIC = ServerSettings(host="0.0.0.0")
NAMED = replace(PUBLIC, public_url="https://projectw.example.org/", allowed_hosts=["inside"])
APP = "https://app.example.org"


@pytest.mark.parametrize(
    ("settings", "host", "accepted"),
    [
        (LOCAL, "localhost:8000", True),
        (LOCAL, "LOCALHOST.", True),
        (LOCAL, "127.0.0.1", True),
        (LOCAL, "127.9.9.9:1", True),
        (LOCAL, "[::1]:8000", True),
        (LOCAL, "w.localhost", True),
        (LOCAL, "evil.example", False),
        (LOCAL, "localhost.evil.example", False),
        (LOCAL, "127.0.0.1.nip.io", False),
        (LOCAL, "203.0.113.9", False),
        (LOCAL, platform.node() + ".evil", False),
        (LOCAL, "", False),
        (LOCAL, "localhost:8000:1", False),
        (LOCAL, "localhost/x", False),
        (LOCAL, "evil.example@localhost", False),
        (LOCAL, "localhost,evil.example", False),
        (PUBLIC, "192.0.2.7:8000", True),
        (PUBLIC, "[2001:db8::7]", True),
        (PUBLIC, platform.node(), True),
        (PUBLIC, "localhost", True),
        (PUBLIC, "evil.example", False),
        (NAMED, "projectw.example.org", True),
        (NAMED, "PROJECTW.example.org.:443", True),
        (NAMED, "inside", True),
        (NAMED, "localhost", True),
        (NAMED, "192.0.2.7", False),
        (NAMED, platform.node(), False),
        (NAMED, "x.projectw.example.org", False),
        (replace(LOCAL, public_url="http://projectw.test:8443"), "projectw.test", True),
    ],
)
def test_names_are_compared_exactly(settings: ServerSettings, host: str, accepted: bool) -> None:
    assert Hosts(settings).accepts(host) is accepted


def test_a_probe_may_ask_for_the_address_where_the_server_is_not_for_loopback_alone() -> None:
    assert Hosts(NAMED).accepts("10.1.2.3:8000", probing=True)
    assert not Hosts(NAMED).accepts("evil.example", probing=True)
    assert not Hosts(LOCAL).accepts("10.1.2.3", probing=True)


def test_names_are_guessed_only_beyond_loopback_and_when_none_is_told() -> None:
    assert [Hosts(each).are_guessed for each in (LOCAL, PUBLIC, NAMED)] == [False, True, False]


@pytest.mark.parametrize("path", ["/api/about", "/healthz", "/nothing", "/api/auth/login"])
async def test_a_rebound_name_reaches_nothing(client: Client, path: str) -> None:
    answer = await client.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.content_type == "application/problem+json"
    assert (await answer.get_json())["code"] == "misdirected"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def ask(settings: ServerSettings, database: Database, method: str, path: str, **headers: str) -> Any:
    app = create_app(settings, database)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with app.test_app():
        return await app.test_client().open(path, method=method, headers=named)


PREFLIGHT = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "authorization"}


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_no_page_of_another_origin_may_read_anything_unless_configured(
    settings: ServerSettings, database: Database
) -> None:
    for answer in (
        await ask(settings, database, "GET", "/api/about", Origin=APP),
        await ask(settings, database, "OPTIONS", "/api/jobs", Origin=APP, **PREFLIGHT),
    ):
        assert not [name for name, _ in answer.headers.items() if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "origin", ["https://app.example.org.evil", "http://app.example.org", "null", APP + ":444"]
)
async def test_origins_are_compared_exactly(
    settings: ServerSettings, database: Database, origin: str
) -> None:
    open_to = replace(settings, cors_origins=[APP])
    simple = await ask(open_to, database, "GET", "/api/about", Origin=origin)
    asked = await ask(open_to, database, "OPTIONS", "/api/jobs", Origin=origin, **PREFLIGHT)
    for answer in (simple, asked):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_configured_origin_may_call_with_its_own_token_and_without_cookies(
    settings: ServerSettings, database: Database
) -> None:
    open_to = replace(settings, cors_origins=[APP])
    asked = await ask(open_to, database, "OPTIONS", "/api/jobs", Origin=APP, **PREFLIGHT)
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == APP
    assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    refused = await ask(open_to, database, "GET", "/api/jobs", Origin=APP)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == APP
    for answer in (asked, refused):
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_is_closed_is_as_if_there_were_none(settings: ServerSettings, database: Database) -> None:
    closed = replace(settings, docs=False, metrics="closed", metrics_token="m" * 40)
    for path in ("/docs", "/openapi.json", "/metrics"):
        answer = await ask(closed, database, "GET", path, Authorization="Bearer " + "m" * 40)
        nothing = await ask(closed, database, "GET", "/nothing")
        assert answer.status_code == 404
        assert await answer.get_data() == await nothing.get_data()


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_metrics_can_be_for_the_token_alone(settings: ServerSettings, database: Database) -> None:
    app = create_app(replace(settings, metrics="token", metrics_token="m" * 40), database)
    async with app.test_app():
        services = app.extensions["projectw"]
        await services.users.add("root@example.org", "correct horse battery staple", is_admin=True)
        tokens = await services.sessions.login("root@example.org", "correct horse battery staple")
        client = app.test_client()
        for token, status in (("m" * 40, 200), (tokens.access_token, 403)):
            answer = await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
