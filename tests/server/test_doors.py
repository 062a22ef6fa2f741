"""What holds for every route, found by walking them all."""

from typing import Any

import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from projectw_server.api.doors import Door
from projectw_server.api.identity import Who
from projectw_server.app import DOORS
from projectw_shared import routes

DECLARED: list[Door] = [door for module in DOORS for door, _ in module.doors._declared]
GUARDED = [door for door in DECLARED if door.who is not Who.ANYONE]
NO_ID = "0190b8a0-0000-7000-8000-000000000000"

# The doors are the same whatever lies behind them, and they are many.
on_sqlite = pytest.mark.parametrize("kind", ["sqlite"])


def name(door: Door) -> str:
    return f"{door.method} {door.path}"


def path(door: Door) -> str:
    return door.path.replace("{id}", NO_ID)


async def test_every_route_of_the_app_has_a_door(app: Quart) -> None:
    without = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], "door")
    ]
    assert without == []
    assert len(list(app.url_map.iter_rules())) == len(DECLARED)


def test_every_path_of_the_contract_is_served() -> None:
    contract = {value for key, value in vars(routes).items() if key.isupper()}
    assert {door.path for door in DECLARED} == contract


def test_no_two_doors_are_the_same() -> None:
    assert len({(door.method, door.path) for door in DECLARED}) == len(DECLARED)


def test_the_doors_at_which_passwords_and_tokens_are_guessed_are_tight() -> None:
    assert {(door.method, door.path) for door in DECLARED if door.tight} == {
        ("POST", routes.LOGIN),
        ("POST", routes.REFRESH),
        ("DELETE", routes.ME),
        ("POST", routes.MY_PASSWORD),
        ("POST", routes.MY_EMAIL),
        ("POST", routes.SIGNUP),
        ("POST", routes.ACTIVATE),
        ("POST", routes.ACTIVATE_RESEND),
        ("POST", routes.PASSWORD_RESET),
        ("POST", routes.PASSWORD_RESET_CONFIRM),
    }


def test_what_anyone_may_call_is_this_and_nothing_else() -> None:
    assert {door.path for door in DECLARED if door.who is Who.ANYONE} == {
        routes.ABOUT,
        routes.HEALTH,
        routes.READY,
        routes.OPENAPI,
        routes.DOCS,
        routes.LOGIN,
        routes.REFRESH,
        routes.SIGNUP,
        routes.ACTIVATE,
        routes.PASSWORD_RESET,
        routes.PASSWORD_RESET_CONFIRM,
    }


@on_sqlite
@pytest.mark.parametrize("door", GUARDED, ids=name)
async def test_without_a_token_no_guarded_door_opens(client: Client, door: Door) -> None:
    for headers in ({}, {"Authorization": "Bearer pwr_nope"}, {"Authorization": "Bearer a.b.c"}):
        answer = await client.open(path(door), method=door.method, headers=headers, data=b"{}")
        assert answer.status_code == 401
        assert answer.content_type == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.get_json())["code"] == "unauthorized"


@on_sqlite
@pytest.mark.parametrize("door", GUARDED, ids=name)
async def test_no_guarded_door_opens_for_another_kind_of_caller(
    client: Client, user: Any, runner: Any, door: Door
) -> None:
    wrong = user if door.who in (Who.ADMIN, Who.RUNNER, Who.OPERATOR) else runner
    answer = await client.open(path(door), method=door.method, headers=wrong.headers, data=b"{}")
    assert answer.status_code == 403
    assert (await answer.get_json())["code"] == "forbidden"


@on_sqlite
@pytest.mark.parametrize("door", [door for door in DECLARED if door.takes], ids=name)
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[]", 422), (b"null", 422), (b'{"nonsense": 1}', 422)],
)
async def test_a_body_that_cannot_be_read_is_refused_in_a_sentence(
    client: Client, admin: Any, runner: Any, door: Door, body: bytes, status: int
) -> None:
    caller = runner if door.who is Who.RUNNER else admin
    answer = await client.open(path(door), method=door.method, headers=caller.headers, data=body)
    document = await answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert (answer.status_code, document["code"]) == (status, {400: "bad-request", 422: "invalid"}[status])
    assert document["detail"]


@on_sqlite
@pytest.mark.parametrize("door", DECLARED, ids=name)
async def test_a_method_that_a_route_does_not_know_is_405_with_those_it_knows(
    client: Client, door: Door
) -> None:
    answer = await client.open(path(door), method="COPY")
    assert answer.status_code == 405
    assert door.method in answer.headers["Allow"]
    assert answer.content_type == "application/problem+json"


async def test_unknown_fields_of_a_request_are_refused_by_name(client: Client) -> None:
    body = {"email": "a@b", "password": "x", "remember": True}
    answer = await client.post(routes.LOGIN, json=body)
    assert answer.status_code == 422
    assert "remember" in (await answer.get_json())["detail"]


@pytest.mark.parametrize(
    "url", ["/", "/api", "/api/nothing", "/api/jobs/", "/api//about", "/%00", "/static/x"]
)
async def test_what_is_not_there_is_a_problem_too(client: Client, url: str) -> None:
    answer = await client.get(url)
    assert answer.content_type in ("application/problem+json",)
    assert answer.status_code in (401, 404)


@pytest.mark.parametrize("url", [routes.ABOUT, routes.ME, "/nothing"])
async def test_every_answer_carries_the_security_headers(client: Client, url: str) -> None:
    headers = (await client.get(url)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cache-Control"] == "no-store"
    assert len(headers["X-Request-Id"]) == 36
    assert "Server" not in headers
