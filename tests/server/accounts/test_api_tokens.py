"""API tokens: shown once, kept as hashes, and refused from the moment that they are taken back."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.api_tokens import MOST
from projectw_server.accounts.secret_tokens import checksum, new_token
from projectw_server.api.context import Services
from projectw_server.db import Database
from projectw_shared.accounts import NewToken
from projectw_shared.errors import Conflict, Invalid


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_is_made_used_listed_and_revoked(client: Client, user: Any, database: Database) -> None:
    made = await client.post("/api/tokens", headers=user.headers, json={"name": "backup", "scope": "write"})
    assert made.status_code == 201
    token = await made.get_json()
    assert re.fullmatch(r"pwt_[0-9A-Za-z]{46}", token["token"])
    assert (await client.get("/api/users/me", headers=bearer(token["token"]))).status_code == 200
    listed = (await (await client.get("/api/tokens", headers=user.headers)).get_json())["tokens"]
    assert [(each["name"], each["scope"]) for each in listed] == [("backup", "write")]
    assert listed[0]["used_at"] is not None
    assert "token" not in listed[0]
    assert token["token"] not in str(await database.rows("SELECT * FROM api_tokens"))
    assert (await client.delete(f"/api/tokens/{token['id']}", headers=user.headers)).status_code == 204
    answer = await client.get("/api/users/me", headers=bearer(token["token"]))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_a_reading_token_looks_and_changes_nothing(
    client: Client, services: Services, user: Any
) -> None:
    token = bearer((await services.api_tokens.create(user.person, NewToken("look"))).token)
    assert (await client.get("/api/jobs", headers=token)).status_code == 200
    for method, path in (("POST", "/api/jobs"), ("PUT", "/api/users/me/defaults"), ("POST", "/api/tokens")):
        answer = await client.open(path, method=method, headers=token, data=b"{}")
        assert (answer.status_code, (await answer.get_json())["code"]) == (403, "insufficient-scope")


async def test_no_token_makes_another_or_changes_the_account(
    client: Client, services: Services, user: Any
) -> None:
    token = bearer((await services.api_tokens.create(user.person, NewToken("w", "write"))).token)
    for method, path in (
        ("POST", "/api/tokens"),
        ("POST", "/api/users/me/password"),
        ("POST", "/api/users/me/email"),
        ("DELETE", "/api/users/me"),
        ("POST", "/api/auth/logout-all"),
    ):
        answer = await client.open(path, method=method, headers=token, data=b"{}")
        assert (answer.status_code, (await answer.get_json())["code"]) == (403, "insufficient-scope")


async def test_a_token_ends_when_it_says(services: Services, user: Any, database: Database) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    made = await services.api_tokens.create(user.person, NewToken("t", "read", soon))
    assert await services.api_tokens.identify(made.token) is not None
    await database.rows("UPDATE api_tokens SET expires_at = expires_at - 61")
    assert await services.api_tokens.identify(made.token) is None
    with pytest.raises(Invalid, match="future"):
        await services.api_tokens.create(user.person, NewToken("t", "read", datetime.now(UTC)))


async def test_there_is_an_end_to_how_many_one_may_have(
    services: Services, user: Any, database: Database
) -> None:
    made = await services.api_tokens.create(user.person, NewToken("t"))
    for n in range(MOST - 1):
        await database.rows(
            "INSERT INTO api_tokens (id, user_id, name, scope, token_hash, created_at)"
            " VALUES ($1, $2, 't', 'read', $1, 0)",
            f"t{n}",
            user.person.id,
        )
    with pytest.raises(Conflict, match="revoke one"):
        await services.api_tokens.create(user.person, NewToken("t"))
    await services.api_tokens.revoke(user.person, made.id)
    await services.api_tokens.create(user.person, NewToken("t"))


def test_a_token_carries_its_checksum_so_that_a_search_for_leaks_finds_no_others() -> None:
    tokens = [new_token("pwt_") for _ in range(500)]
    for token in tokens:
        chance, check = token[4:-6], token[-6:]
        assert checksum(chance) == check
    assert len(set(tokens)) == 500
