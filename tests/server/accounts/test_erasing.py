"""Erasing an account: nothing of it is left, whatever happens meanwhile."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from quart.typing import TestClientProtocol as Client

from projectw_server.api.context import EXTENSION, Services
from projectw_server.app import create_app
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_server.uploads import erasing
from projectw_shared.accounts import NewToken
from projectw_shared.errors import Conflict
from tests.leftovers import paths_with

from ..conftest import PASSWORD, MakeUser
from ..making import finished, submitted

STRONG = "violin-tangerine-moth-38"
MARKER = "xqz-the-marker-of-somebody"


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_nothing_of_an_erased_account_is_left_in_the_database_its_log_and_the_storage(
    client: Client,
    services: Services,
    make_user: MakeUser,
    admin: Any,
    settings: ServerSettings,
    database: Database,
) -> None:
    one = await make_user(f"{MARKER}@example.org")
    await services.api_tokens.create(one.person, NewToken(MARKER))
    job_id = await finished(services, one.person, f" {MARKER}")
    await database.rows(
        "UPDATE jobs SET file_name = $1, idempotency_key = $1, settings = $2",
        f"{MARKER}.wav",
        f'{{"initial_prompt":"{MARKER}"}}',
    )
    blob = next((settings.recordings / "blobs").rglob(job_id))
    blob.write_bytes(MARKER.encode() * 100)
    change = {"password": PASSWORD, "new_email": f"{MARKER}@example.net"}
    assert (await client.post("/api/users/me/email", headers=one.headers, json=change)).status_code == 204
    assert len(paths_with(settings.home, MARKER.encode())) >= 2
    answer = await client.delete("/api/users/me", headers=one.headers, json={"password": PASSWORD})
    assert answer.status_code == 204
    assert paths_with(settings.home, MARKER.encode()) == []
    assert (await client.get("/api/users/me", headers=one.headers)).status_code == 401
    login = {"email": f"{MARKER}@example.org", "password": PASSWORD}
    assert (await client.post("/api/auth/login", json=login)).status_code == 401
    assert await database.rows("SELECT * FROM deletions WHERE owner_id = $1", one.person.id) == []
    await services.audit.seal()
    assert (await services.audit.verify()).fault is None, "the log is whole without a name in it"


@pytest.mark.parametrize("confirmed", [True, False])
async def test_sign_ups_with_the_address_go_with_the_account_that_had_it_and_no_other(
    settings: ServerSettings, database: Database, confirmed: bool
) -> None:
    app = create_app(replace(settings, signup="open"), database)
    async with app.test_app():
        services: Services = app.extensions[EXTENSION]
        address = f"{MARKER}@example.org"
        if confirmed:
            await services.users.add(address, PASSWORD)
        for _ in range(2):
            await services.confirming.sign_up(address, STRONG)
        wanted = "email = $1" if confirmed else "unconfirmed_email = $1"
        (first, *_) = await database.rows(f"SELECT id FROM users WHERE {wanted} ORDER BY id", address)
        await services.erasing.erase(first["id"])
        left = await database.rows("SELECT id FROM users WHERE unconfirmed_email = $1", address)
        assert len(left) == (0 if confirmed else 1)


async def test_an_admin_erases_somebody_with_all_jobs_and_the_runner_is_told(
    client: Client, services: Services, make_user: MakeUser, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 2)
    ada, bob = await make_user(), await make_user("bob@example.org")
    for _ in range(5):
        await submitted(services, ada.person)
    kept = await submitted(services, bob.person)
    answer = await client.delete(f"/api/admin/users/{ada.person.id}", headers=admin.headers)
    assert answer.status_code == 204
    jobs = await (await client.get("/api/admin/jobs", headers=admin.headers)).get_json()
    assert [job["id"] for job in jobs["jobs"]] == [kept]
    assert (
        await client.delete(f"/api/admin/users/{ada.person.id}", headers=admin.headers)
    ).status_code == 404
    again = {"email": "ada@example.org", "password": PASSWORD}
    assert (await client.post("/api/admin/users", headers=admin.headers, json=again)).status_code == 201


async def test_what_a_server_left_half_erased_is_gone_on_with(
    services: Services, make_user: MakeUser, admin: Any, database: Database, settings: ServerSettings
) -> None:
    ada = await make_user()
    job_id = await submitted(services, ada.person)
    await database.transaction(lambda transaction: erasing._close(transaction, ada.person.id))
    assert await services.sessions.identify(services.sessions.read(ada.tokens.access_token)) is None  # type: ignore[arg-type]
    await services.erasing.go_on()
    assert await database.rows("SELECT id FROM users WHERE id = $1", ada.person.id) == []
    assert not list(settings.recordings.rglob(job_id))


async def test_recordings_whose_rows_were_deleted_before_a_server_ended_go_too(
    services: Services, make_user: MakeUser, admin: Any, database: Database, settings: ServerSettings
) -> None:
    ada = await make_user()
    job_id = await submitted(services, ada.person)
    await database.transaction(lambda transaction: erasing._close(transaction, ada.person.id))
    assert await services.jobs.delete_some(ada.person.id, 50) == [job_id]
    assert list(settings.recordings.rglob(job_id))
    await services.erasing.go_on()
    assert not list(settings.recordings.rglob(job_id))


async def test_a_caller_who_leaves_does_not_stop_it(
    services: Services, make_user: MakeUser, admin: Any, database: Database
) -> None:
    ada = await make_user()
    await submitted(services, ada.person)
    task = asyncio.create_task(services.erasing.erase(ada.person.id))
    while not await database.rows("SELECT 1 AS gone FROM users WHERE erased_at IS NOT NULL"):
        await asyncio.sleep(0)
        if task.done():
            break
    task.cancel()
    async with asyncio.timeout(10):
        while await database.rows("SELECT 1 AS there FROM users WHERE id = $1", ada.person.id):
            await asyncio.sleep(0.01)


async def test_the_only_admin_stays(client: Client, services: Services, admin: Any) -> None:
    with pytest.raises(Conflict, match="only admin"):
        await services.erasing.erase(admin.person.id)
    answer = await client.delete("/api/users/me", headers=admin.headers, json={"password": PASSWORD})
    assert answer.status_code == 409


async def test_an_upload_under_way_ends_with_the_account(
    client: Client, services: Services, make_user: MakeUser, admin: Any, settings: ServerSettings
) -> None:
    ada = await make_user()
    headers = ada.headers | {"Content-Type": "audio/wav"}
    async with client.request("/api/jobs?file_name=a.wav", method="POST", headers=headers) as connection:
        await connection.send(b"RIFF" + (2**20).to_bytes(4, "little") + b"WAVEfmt " + bytes(2032))
        async with asyncio.timeout(10):
            while not list((settings.recordings / "incoming").iterdir()):
                await asyncio.sleep(0.01)
        await services.erasing.erase(ada.person.id)
        await connection.send(bytes(1000))
        await connection.send_complete()
        document = json.loads(await asyncio.wait_for(connection.receive(), 10))
    assert (document["status"], document["code"]) == (401, "unauthorized")
    assert list((settings.recordings / "incoming").iterdir()) == []
    assert not [path for path in (settings.recordings / "blobs").rglob("*") if path.is_file()]
