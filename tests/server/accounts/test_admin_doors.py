"""What admins see and do, by way of real requests."""

from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.api.context import Services
from projectw_server.db import Database
from projectw_shared.accounts import NewToken

from ..conftest import PASSWORD, MakeUser
from ..making import SOUND, finished, submitted

NEW = "another horse took the staple"


async def listed(client: Client, admin: Any, **query: str) -> Any:
    answer = await client.get("/api/admin/users", headers=admin.headers, query_string=query)
    assert answer.status_code == 200
    return await answer.get_json()


async def test_accounts_are_listed_searched_and_paged(
    client: Client, make_user: MakeUser, admin: Any
) -> None:
    for name in ("ada", "bob", "100%_sure"):
        await make_user(f"{name}@example.org")
    page = await listed(client, admin, limit="3")
    assert [each["email"] for each in page["users"]] == [
        f"{name}@example.org" for name in ("100%_sure", "bob", "ada")
    ]
    rest = await listed(client, admin, limit="3", cursor=page["next_cursor"])
    assert [each["email"] for each in rest["users"]] == ["root@example.org"]
    assert rest["next_cursor"] is None
    for text, found in (("BO", ["bob"]), ("0%_", ["100%_sure"]), ("%", ["100%_sure"]), ("nobody", [])):
        users = (await listed(client, admin, q=text))["users"]
        assert [each["email"].partition("@")[0] for each in users] == found, text
    by_id = await listed(client, admin, q=rest["users"][0]["id"])
    assert [each["email"] for each in by_id["users"]] == ["root@example.org"]


async def test_an_account_that_an_admin_makes_can_be_used_at_once(client: Client, admin: Any) -> None:
    body = {"email": "new@example.org", "password": PASSWORD}
    answer = await client.post("/api/admin/users", headers=admin.headers, json=body)
    assert answer.status_code == 201
    made = await answer.get_json()
    assert (made["confirmed"], made["is_admin"]) == (True, False)
    assert (await client.post("/api/auth/login", json=body)).status_code == 200
    again = await client.post("/api/admin/users", headers=admin.headers, json=body)
    assert again.status_code == 409


async def test_an_admin_sets_no_password_that_would_be_guessed(
    client: Client, make_user: MakeUser, admin: Any
) -> None:
    ada = await make_user()
    url = f"/api/admin/users/{ada.person.id}"
    for method, path, body in (
        ("PATCH", url, {"new_password": "password123"}),
        ("POST", "/api/admin/users", {"email": "new@example.org", "password": "new@example.org"}),
    ):
        answer = await client.open(path, method=method, headers=admin.headers, json=body)
        assert (answer.status_code, (await answer.get_json())["code"]) == (422, "weak-password")


async def test_a_password_that_an_admin_sets_ends_what_the_old_one_began(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    ada = await make_user()
    token = (await services.api_tokens.create(ada.person, NewToken("t"))).token
    url = f"/api/admin/users/{ada.person.id}"
    assert (await client.patch(url, headers=admin.headers, json={"new_password": NEW})).status_code == 200
    for headers in (ada.headers, {"Authorization": f"Bearer {token}"}):
        assert (await client.get("/api/users/me", headers=headers)).status_code == 401
    login = {"email": "ada@example.org", "password": NEW}
    assert (await client.post("/api/auth/login", json=login)).status_code == 200


async def test_what_a_disabled_account_has_waiting_is_cancelled(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    ada = await make_user()
    job_id = await submitted(services, ada.person)
    url = f"/api/admin/users/{ada.person.id}"
    assert (await client.patch(url, headers=admin.headers, json={"is_admin": False})).status_code == 200
    assert (await services.jobs.get(ada.person, job_id)).state == "queued"
    assert (await client.patch(url, headers=admin.headers, json={"disabled": True})).status_code == 200
    assert (await services.jobs.get(ada.person, job_id)).state == "cancelled"
    assert (await client.patch(url, headers=admin.headers, json={"disabled": False})).status_code == 200
    assert (await services.jobs.retry(ada.person, job_id)).state == "queued"


@pytest.mark.parametrize("change", [{"disabled": True}, {"is_admin": False}])
async def test_the_last_admin_cannot_be_shut_out(
    client: Client, make_user: MakeUser, admin: Any, change: dict[str, bool]
) -> None:
    url = f"/api/admin/users/{admin.person.id}"
    assert (await client.patch(url, headers=admin.headers, json=change)).status_code == 409
    ada = await make_user()
    promoted = await client.patch(
        f"/api/admin/users/{ada.person.id}", headers=admin.headers, json={"is_admin": True}
    )
    assert (await promoted.get_json())["is_admin"] is True
    assert (await client.patch(url, headers=ada.headers, json=change)).status_code == 200


async def test_what_is_left_out_of_a_change_stays(client: Client, make_user: MakeUser, admin: Any) -> None:
    ada = await make_user()
    url = f"/api/admin/users/{ada.person.id}"
    quota = {"audio_seconds": 3600.0, "bytes": None, "jobs": 2}
    first = await (await client.patch(url, headers=admin.headers, json={"quota": quota})).get_json()
    assert (first["quota"], first["has_own_quota"]) == (quota, True)
    second = await (await client.patch(url, headers=admin.headers, json={})).get_json()
    assert second == first
    third = await (await client.patch(url, headers=admin.headers, json={"quota": None})).get_json()
    assert third["has_own_quota"] is False
    assert (await client.patch(url, headers=admin.headers, json={"quota": {"jobs": -1}})).status_code == 422


async def test_an_id_of_nobody_is_not_found(client: Client, admin: Any) -> None:
    url = "/api/admin/users/0190b8a0-0000-7000-8000-000000000000"
    assert (await client.patch(url, headers=admin.headers, json={})).status_code == 404
    assert (await client.delete(url, headers=admin.headers)).status_code == 404


async def test_jobs_of_all_are_listed_without_prompt_and_text(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    ada, bob = await make_user(), await make_user("bob@example.org")
    first, second = await submitted(services, ada.person), await submitted(services, bob.person)
    await services.jobs._database.rows(
        "UPDATE jobs SET settings = $1", '{"model":"tiny","initial_prompt":"the patient Smith"}'
    )
    answer = await client.get("/api/admin/jobs", headers=admin.headers)
    text = await answer.get_data(as_text=True)
    assert "Smith" not in text
    jobs = (await answer.get_json())["jobs"]
    assert [(job["id"], job["owner"]["email"]) for job in jobs] == [
        (second, "bob@example.org"),
        (first, "ada@example.org"),
    ]
    for query, ids in (
        ({"owner": ada.person.id}, [first]),
        ({"q": "TALK"}, [second, first]),
        ({"q": "x"}, []),
        ({"state": "running,failed"}, []),
        ({"state": "queued", "limit": "1"}, [second]),
    ):
        found = await (
            await client.get("/api/admin/jobs", headers=admin.headers, query_string=query)
        ).get_json()
        assert [job["id"] for job in found["jobs"]] == ids, query


async def test_who_has_not_confirmed_an_address_is_made_no_admin_and_counts_as_none(
    client: Client, make_user: MakeUser, admin: Any, database: Database
) -> None:
    eve = await make_user("eve@example.org")
    await database.rows(
        "UPDATE users SET email = id, unconfirmed_email = 'bob@example.org' WHERE id = $1", eve.person.id
    )
    url = f"/api/admin/users/{eve.person.id}"
    refused = await client.patch(url, headers=admin.headers, json={"is_admin": True})
    assert refused.status_code == 409
    await database.rows("UPDATE users SET is_admin = TRUE WHERE id = $1", eve.person.id)
    own = f"/api/admin/users/{admin.person.id}"
    assert (await client.patch(own, headers=admin.headers, json={"is_admin": False})).status_code == 409
    leaving = await client.delete("/api/users/me", headers=admin.headers, json={"password": PASSWORD})
    assert leaving.status_code == 409


async def test_a_name_is_found_as_it_is_written_whatever_the_database_makes_of_its_letters(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    job_id = await submitted(services, (await make_user()).person)
    await services.jobs._database.rows("UPDATE jobs SET file_name = $1", "ÜBUNG 100%.wav")
    for text in ("ÜBUNG", "bung", "100%"):
        found = await client.get("/api/admin/jobs", headers=admin.headers, query_string={"q": text})
        assert [job["id"] for job in (await found.get_json())["jobs"]] == [job_id], text
    nothing = await client.get("/api/admin/jobs", headers=admin.headers, query_string={"q": "1_0"})
    assert (await nothing.get_json())["jobs"] == []


async def test_reading_somebody_elses_takes_the_operators_leave_a_reason_and_is_told(
    client: Client, services: Services, make_user: MakeUser, admin: Any, database: Database
) -> None:
    ada = await make_user()
    job_id = await finished(services, ada.person, " What the witness said.")
    url = f"/api/admin/jobs/{job_id}/transcript"
    wish = {"reason": "the court of appeal has asked for it", "format": "txt"}
    assert (await client.post(url, headers=admin.headers, json=wish)).status_code == 403
    services.disclosures._allowed = True
    for poor in ({}, {"reason": "why not"}, {"reason": " \n" * 20}, wish | {"format": "pdf"}):
        assert (await client.post(url, headers=admin.headers, json=poor)).status_code == 422
    answer = await client.post(url, headers=admin.headers, json=wish)
    assert answer.status_code == 200
    assert "What the witness said." in await answer.get_data(as_text=True)
    told = (await (await client.get("/api/users/me/disclosures", headers=ada.headers)).get_json())[
        "disclosures"
    ]
    assert [(each["job_id"], each["file_name"], each["admin"], each["reason"]) for each in told] == [
        (job_id, "talk.wav", "root@example.org", wish["reason"])
    ]
    mails = await database.rows("SELECT purpose, email, subject_id FROM mails")
    assert mails == [{"purpose": "disclosed", "email": "ada@example.org", "subject_id": told[0]["id"]}]
    entries = await (
        await client.get("/api/admin/audit?action=transcript-disclosed", headers=admin.headers)
    ).get_json()
    assert [(each["actor_id"], each["object_id"]) for each in entries["entries"]] == [
        (admin.person.id, job_id)
    ]


async def test_reads_and_exports_of_transcripts_and_recordings_are_noted(
    client: Client, services: Services, user: Any
) -> None:
    job_id = await finished(services, user.person, " Words.")
    for part in ("/segments", "/segments?since=0", "/transcript?format=srt", "/audio"):
        assert (await client.get(f"/api/jobs/{job_id}{part}", headers=user.headers)).status_code == 200
    page = await services.audit.page(action=None, actor_id=user.person.id, limit=10, cursor=None)
    read = {"transcript-read", "transcript-exported", "recording-read"}
    assert sorted(entry.action for entry in page.entries if entry.action in read) == sorted(read)
    assert all(entry.object_id == job_id for entry in page.entries if entry.action in read)


async def test_settings_of_a_quota_hold_for_all_and_one_of_its_own_for_one(
    client: Client, services: Services, make_user: MakeUser, admin: Any
) -> None:
    ada = await make_user()
    url = f"/api/admin/users/{ada.person.id}"

    async def submit() -> tuple[int, str]:
        headers = ada.headers | {"Content-Type": "audio/wav"}
        answer = await client.post("/api/jobs?file_name=a.wav", headers=headers, data=SOUND)
        document = await answer.get_json()
        return answer.status_code, document.get("code", "")

    async def allow(**quota: float) -> None:
        assert (await client.patch(url, headers=admin.headers, json={"quota": quota})).status_code == 200

    await allow(jobs=1)
    assert await submit() == (201, "")
    assert await submit() == (429, "too-many-jobs")
    await allow(bytes=2 * len(SOUND))
    assert await submit() == (201, "")
    assert await submit() == (403, "quota-exceeded")
    await allow(audio_seconds=10)
    assert await submit() == (201, "")
    await services.jobs._database.rows(
        "INSERT INTO usage (owner_id, month, audio_seconds) VALUES ($1, '2020-01', 99)", ada.person.id
    )
    assert await submit() == (201, "")
    me = await (await client.get("/api/users/me", headers=ada.headers)).get_json()
    assert me["usage"] == {"audio_seconds": 0.0, "bytes": 4 * len(SOUND), "jobs": 4}
    assert me["quota"]["audio_seconds"] == 10


async def test_audio_counts_once_when_its_length_is_known(services: Services, user: Any, admin: Any) -> None:
    job_id = await finished(services, user.person, " Words.")
    assert (await services.people.of(user.person)).usage.audio_seconds == 1.0
    await services.submitting.delete(user.person, job_id)
    assert (await services.people.of(user.person)).usage.audio_seconds == 1.0, "deleting gives nothing back"
