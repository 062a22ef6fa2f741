"""Who gets in, by way of real requests."""

from typing import Any

import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client
from werkzeug.datastructures import Headers

from projectw_server.api.context import Services
from projectw_server.api.identity import EXTENSION

LOGIN = {"email": "ada@example.org", "password": "correct horse battery staple"}


async def test_signing_in_refreshing_and_signing_out(client: Client, user: Any) -> None:
    answer = await client.post("/api/auth/login", json=LOGIN)
    assert answer.status_code == 200
    tokens = await answer.get_json()
    assert tokens["token_type"] == "Bearer"

    answer = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200
    tokens = await answer.get_json()

    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = await client.get("/api/users/me", headers=headers)
    assert me.status_code == 200
    assert (await me.get_json())["email"] == "ada@example.org"

    assert (await client.post("/api/auth/logout", headers=headers)).status_code == 204
    assert (await client.get("/api/users/me", headers=headers)).status_code == 401
    again = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert again.status_code == 401


async def test_a_wrong_password_has_a_code_of_its_own(client: Client, user: Any) -> None:
    answer = await client.post("/api/auth/login", json=LOGIN | {"password": "wrong"})
    assert answer.status_code == 401
    assert (await answer.get_json())["code"] == "wrong-password"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_tries_from_one_address_are_counted_and_then_refused(
    app: Quart, client: Client, services: Services
) -> None:
    # Tries come back with time, so how many it takes depends on how busy the machine is.
    for n in range(10 * services.settings.login_attempts_per_minute):
        answer = await client.post(
            "/api/auth/refresh", json={"refresh_token": "x"}, headers={"X-Forwarded-For": f"10.0.0.{n}"}
        )
        if answer.status_code == 429:
            break
    assert answer.status_code == 429, "a header that anyone can write must not buy more tries"
    assert answer.content_type == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await answer.get_json())["code"] == "too-many-requests"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(client: Client, user: Any, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {user.tokens.access_token}"}
    assert (await client.get("/api/users/me", headers=headers)).status_code == 200


@pytest.mark.parametrize("shape", ["Bearer{}", "Basic {}", "{}", "Token {}", "Bearer\t{}", ""])
async def test_any_other_way_to_send_a_token_is_none(client: Client, user: Any, shape: str) -> None:
    headers = {"Authorization": shape.format(user.tokens.access_token)}
    answer = await client.get("/api/users/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_two_tokens_in_one_request_are_none(client: Client, user: Any) -> None:
    headers = Headers([("Authorization", f"Bearer {user.tokens.access_token}")] * 2)
    assert (await client.get("/api/users/me", headers=headers)).status_code == 401


@pytest.mark.parametrize("token", ["nope", "pwr_nope", "a.b.c", "ä", ""])
async def test_a_token_that_is_not_valid_is_named_as_such(client: Client, token: str) -> None:
    answer = await client.get("/api/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_valid_token_of_the_wrong_kind_is_forbidden(client: Client, user: Any, runner: Any) -> None:
    for path, headers, words in (
        ("/api/users/me", runner.headers, "for people"),
        ("/api/runners", runner.headers, "for people"),
        ("/api/runners", user.headers, "for admins"),
    ):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 403
        assert words in (await answer.get_json())["detail"]
    answer = await client.post("/api/runners/unregister", headers=user.headers, json={"session": "x"})
    assert answer.status_code == 403
    assert "for runners" in (await answer.get_json())["detail"]


async def test_an_admin_gets_in_where_a_user_does_not(client: Client, admin: Any) -> None:
    assert (await client.get("/api/runners", headers=admin.headers)).status_code == 200


async def test_a_runners_token_is_kept_as_a_hash_only(services: Services, runner: Any) -> None:
    assert runner.created.token.startswith("pwr_")
    found = await services.runner_tokens.identify(runner.created.token)
    assert found is not None
    assert found.id == runner.created.id
    assert await services.runner_tokens.identify(runner.created.token[:-1]) is None
    row = await services.runner_tokens._database.row("SELECT * FROM runners")
    assert runner.created.token.removeprefix("pwr_") not in str(row)


async def test_quart_auth_dumps_and_loads_our_tokens(app: Quart, services: Services, user: Any) -> None:
    auth = app.extensions[EXTENSION][0]
    async with app.app_context():
        claims = services.sessions.read(user.tokens.access_token)
        assert claims is not None
        auth_id = f"{claims.user_id}.{claims.session_id}"
        assert auth.load_token(user.tokens.access_token) == auth_id
        assert auth.load_token(auth.dump_token(auth_id)) == auth_id
        assert auth.load_token(user.tokens.refresh_token) is None
