"""What people do with their own accounts, by way of real requests."""

from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.audit import Action
from projectw_server.api.context import Services
from projectw_server.db import Database
from projectw_shared.accounts import NewToken

from ..conftest import PASSWORD, MakeUser
from ..making import SOUND

NEW = "another horse took the staple"


async def actions(services: Services) -> list[str]:
    """Return what was noted, the newest first."""
    page = await services.audit.page(action=None, actor_id=None, limit=200, cursor=None)
    return [entry.action for entry in page.entries]


async def signed_in_again(services: Services, email: str = "ada@example.org") -> dict[str, str]:
    tokens = await services.sessions.login(email, PASSWORD)
    return {"Authorization": f"Bearer {tokens.access_token}"}


async def test_sign_ins_are_listed_and_one_is_ended(client: Client, services: Services, user: Any) -> None:
    login = {"email": "ada@example.org", "password": PASSWORD}
    answer = await client.post("/api/auth/login", json=login, headers={"User-Agent": "projectw/9"})
    other = {"Authorization": f"Bearer {(await answer.get_json())['access_token']}"}
    listed = (await (await client.get("/api/sessions", headers=user.headers)).get_json())["sessions"]
    assert [(each["current"], each["client"]) for each in listed] == [(False, "projectw/9"), (True, None)]
    assert (await client.delete(f"/api/sessions/{listed[0]['id']}", headers=user.headers)).status_code == 204
    assert (await client.get("/api/users/me", headers=other)).status_code == 401
    assert (await client.get("/api/users/me", headers=user.headers)).status_code == 200
    assert Action.SESSION_REVOKED in await actions(services)


async def test_logging_out_everywhere_ends_this_session_too(
    client: Client, services: Services, user: Any
) -> None:
    other = await signed_in_again(services)
    assert (await client.post("/api/auth/logout-all", headers=user.headers)).status_code == 204
    for headers in (user.headers, other):
        assert (await client.get("/api/users/me", headers=headers)).status_code == 401
    refresh = {"refresh_token": user.tokens.refresh_token}
    assert (await client.post("/api/auth/refresh", json=refresh)).status_code == 401


async def test_a_new_password_ends_every_other_session(client: Client, services: Services, user: Any) -> None:
    other = await signed_in_again(services)
    change = {"password": PASSWORD, "new_password": NEW}
    answer = await client.post("/api/users/me/password", headers=user.headers, json=change)
    assert answer.status_code == 204
    assert (await client.get("/api/users/me", headers=other)).status_code == 401
    assert (await client.get("/api/users/me", headers=user.headers)).status_code == 200
    old = await client.post("/api/auth/login", json={"email": "ada@example.org", "password": PASSWORD})
    new = await client.post("/api/auth/login", json={"email": "ada@example.org", "password": NEW})
    assert (old.status_code, new.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/users/me/password", {"new_password": NEW}),
        ("POST", "/api/users/me/email", {"new_email": "new@example.org"}),
        ("DELETE", "/api/users/me", {}),
    ],
)
async def test_what_matters_takes_the_password_once_more(
    client: Client, services: Services, user: Any, method: str, path: str, body: dict[str, str]
) -> None:
    wrong = body | {"password": "wrong horse"}
    answer = await client.open(path, method=method, headers=user.headers, json=wrong)
    # 403 and not 401: the sign-in is good, and a client that takes it for over would sign out.
    assert (answer.status_code, (await answer.get_json())["code"]) == (403, "password-mismatch")
    assert (await client.get("/api/users/me", headers=user.headers)).status_code == 200
    assert Action.PASSWORD_FAILED in await actions(services)


async def test_another_address_counts_once_it_is_confirmed(
    client: Client, user: Any, database: Database
) -> None:
    body = {"password": PASSWORD, "new_email": " New@Example.org "}
    assert (await client.post("/api/users/me/email", headers=user.headers, json=body)).status_code == 204
    me = await (await client.get("/api/users/me", headers=user.headers)).get_json()
    assert (me["email"], me["unconfirmed_email"], me["confirmed"]) == (
        "ada@example.org",
        "new@example.org",
        True,
    )
    mails = await database.rows("SELECT purpose, email, subject_id FROM mails")
    assert mails == [{"purpose": "new-address", "email": "new@example.org", "subject_id": user.person.id}]


async def test_defaults_are_kept_and_used_by_jobs_without_settings(
    client: Client, user: Any, services: Services
) -> None:
    wanted = {"model": "tiny.en", "word_timestamps": True}
    answer = await client.put("/api/users/me/defaults", headers=user.headers, json=wanted)
    assert answer.status_code == 200
    stored = await (await client.get("/api/users/me/defaults", headers=user.headers)).get_json()
    assert (stored["model"], stored["word_timestamps"], stored["task"]) == ("tiny.en", True, "transcribe")
    headers = user.headers | {"Content-Type": "audio/wav"}
    plain = await (await client.post("/api/jobs?file_name=a.wav", headers=headers, data=SOUND)).get_json()
    given = await (
        await client.post('/api/jobs?file_name=b.wav&settings={"model":"base"}', headers=headers, data=SOUND)
    ).get_json()
    assert (plain["settings"]["model"], plain["settings"]["word_timestamps"]) == ("tiny.en", True)
    assert (given["settings"]["model"], given["settings"]["word_timestamps"]) == ("base", False)


async def test_defaults_that_only_admins_may_have_are_refused(client: Client, user: Any) -> None:
    answer = await client.put("/api/users/me/defaults", headers=user.headers, json={"priority": 5})
    assert answer.status_code == 403


async def test_disabling_refuses_the_next_request_of_every_credential(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    ada = await make_user()
    token = (await services.api_tokens.create(ada.person, NewToken("t", "write"))).token
    credentials = [ada.headers, {"Authorization": f"Bearer {token}"}]
    url = f"/api/admin/users/{ada.person.id}"
    assert (await client.patch(url, headers=admin.headers, json={"disabled": True})).status_code == 200
    for headers in credentials:
        assert (await client.get("/api/users/me", headers=headers)).status_code == 401
    login = {"email": "ada@example.org", "password": PASSWORD}
    assert (await client.post("/api/auth/login", json=login)).status_code == 403
    assert (await client.patch(url, headers=admin.headers, json={"disabled": False})).status_code == 200
    assert (await client.get("/api/users/me", headers=credentials[0])).status_code == 401, (
        "that session has ended"
    )
    assert (await client.get("/api/users/me", headers=credentials[1])).status_code == 200
    assert (await client.post("/api/auth/login", json=login)).status_code == 200
