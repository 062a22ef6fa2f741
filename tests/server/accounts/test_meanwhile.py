"""Requests that were let in before a sign-in ended leave nothing behind that outlives it."""

import asyncio
import json
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.entrance import Entrance, Opened
from projectw_server.accounts.principals import Person
from projectw_server.accounts.sessions import Sessions
from projectw_server.accounts.signing import Claims
from projectw_server.api.context import Services
from projectw_server.db import Database
from projectw_shared.accounts import UserChange
from projectw_shared.errors import Unauthorized, WrongPassword

from ..conftest import PASSWORD

NEW = "another horse took the staple"
ADA = "ada@example.org"


async def test_a_sign_in_whose_password_was_replaced_meanwhile_does_not_begin(
    services: Services, database: Database, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognise = Entrance.recognise
    changed = False

    async def slowly(entrance: Entrance, email: str, password: str) -> Opened:
        nonlocal changed
        opened = await recognise(entrance, email, password)
        if not changed:
            changed = True
            await services.changes.of_user(opened.user_id, UserChange(new_password=NEW))
        return opened

    monkeypatch.setattr(Entrance, "recognise", slowly)
    with pytest.raises(WrongPassword):
        await services.sessions.login(ADA, PASSWORD)
    assert await database.rows("SELECT id FROM sessions") == []
    await services.sessions.login(ADA, NEW)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/tokens", {"name": "stays", "scope": "write"}),
        ("PUT", "/api/users/me/defaults", {"language": "de"}),
        ("POST", "/api/admin/users", {"email": "eve@example.org", "password": NEW, "is_admin": True}),
    ],
)
async def test_a_body_that_ends_after_the_sign_in_does_nothing(
    client: Client,
    services: Services,
    database: Database,
    admin: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: dict[str, Any],
) -> None:
    let_in, identify = asyncio.Event(), Sessions.identify

    async def spy(sessions: Sessions, claims: Claims) -> Person | None:
        found = await identify(sessions, claims)
        let_in.set()
        return found

    monkeypatch.setattr(Sessions, "identify", spy)
    raw = json.dumps(body).encode()
    headers = {**admin.headers, "Content-Type": "application/json", "Content-Length": str(len(raw))}
    async with client.request(path, method=method, headers=headers) as connection:
        await connection.send(raw[:5])
        await asyncio.wait_for(let_in.wait(), 10)
        await services.sessions.logout_all(admin.person)
        await connection.send(raw[5:])
        await connection.send_complete()
    answer = await connection.as_response()
    assert answer.status_code == 401
    assert await database.rows("SELECT id FROM api_tokens") == []
    assert await database.rows("SELECT id FROM users WHERE email = 'eve@example.org'") == []


async def test_what_was_let_in_before_the_sign_in_ended_changes_no_account(
    services: Services, user: Any
) -> None:
    claims = services.sessions.read(user.tokens.access_token)
    assert claims is not None
    person = await services.sessions.identify(claims)
    assert person is not None
    await services.sessions.logout_all(person)
    with pytest.raises(Unauthorized):
        await services.changes.password(person, NEW)
    with pytest.raises(Unauthorized):
        await services.changes.email(person, "eve@example.org")
    await services.sessions.login(ADA, PASSWORD)
