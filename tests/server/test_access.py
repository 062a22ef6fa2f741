"""Who gets what: every route is walked with every kind of credential, good and bad.

``ACCESS`` says it for each route, in words of its own and not the doors'. A route that is not in it fails the walk.
"""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec
import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.keys import signing_key
from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.context import Services
from projectw_server.api.doors import Door
from projectw_server.app import DOORS
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import NewToken
from projectw_shared.ids import new_id
from projectw_shared.messages import Assignment, Heartbeat, Registration

from .conftest import PASSWORD, MakeUser
from .making import submitted

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])

# Who may call; what the credential must grant; "own": somebody else's is not there; "unconfirmed": before the address
# is confirmed, too; "held": only the runner that holds the job.
ACCESS = {
    "GET /api/about": "anyone",
    "GET /healthz": "anyone",
    "GET /readyz": "anyone",
    "GET /openapi.json": "anyone",
    "GET /docs": "anyone",
    "GET /metrics": "operator",
    "POST /api/auth/login": "anyone",
    "POST /api/auth/refresh": "anyone",
    "POST /api/auth/logout": "user sign-in unconfirmed",
    "POST /api/auth/logout-all": "user sign-in unconfirmed",
    "POST /api/auth/signup": "anyone",
    "POST /api/auth/activate": "anyone",
    "POST /api/auth/activate/resend": "user sign-in unconfirmed",
    "POST /api/auth/password-reset": "anyone",
    "POST /api/auth/password-reset/confirm": "anyone",
    "GET /api/users/me": "user read unconfirmed",
    "DELETE /api/users/me": "user sign-in unconfirmed",
    "POST /api/users/me/password": "user sign-in",
    "POST /api/users/me/email": "user sign-in",
    "GET /api/users/me/defaults": "user read",
    "PUT /api/users/me/defaults": "user write",
    "GET /api/users/me/disclosures": "user read",
    "GET /api/sessions": "user sign-in unconfirmed",
    "DELETE /api/sessions/{id}": "user sign-in unconfirmed own",
    "GET /api/tokens": "user read",
    "POST /api/tokens": "user sign-in",
    "DELETE /api/tokens/{id}": "user sign-in own",
    "GET /api/jobs": "user read",
    "POST /api/jobs": "user write",
    "GET /api/jobs/{id}": "user read own",
    "DELETE /api/jobs/{id}": "user write own",
    "POST /api/jobs/{id}/cancel": "user write own",
    "POST /api/jobs/{id}/retry": "user write own",
    "GET /api/jobs/{id}/segments": "user read own",
    "GET /api/jobs/{id}/transcript": "user read own",
    "GET /api/jobs/{id}/audio": "user read own",
    "POST /api/estimate": "user read",
    "GET /api/events": "user read",
    "GET /api/admin/users": "admin read",
    "POST /api/admin/users": "admin write",
    "PATCH /api/admin/users/{id}": "admin write",
    "DELETE /api/admin/users/{id}": "admin write",
    "GET /api/admin/jobs": "admin read",
    "POST /api/admin/jobs/{id}/transcript": "admin write",
    "GET /api/admin/audit": "admin read",
    "POST /api/runners/create": "admin write",
    "GET /api/runners": "admin read",
    "DELETE /api/runners/{id}": "admin write",
    "POST /api/runners/{id}/cordon": "admin write",
    "POST /api/runners/{id}/uncordon": "admin write",
    "POST /api/runners/{id}/drain": "admin write",
    "POST /api/runners/register": "runner",
    "POST /api/runners/heartbeat": "runner held",
    "POST /api/runners/unregister": "runner",
    "GET /api/runners/jobs/{id}/audio": "runner held",
    "POST /api/runners/jobs/{id}/result": "runner held",
}

DECLARED: dict[str, Door] = {
    f"{door.method} {door.path}": door for module in DOORS for door, _ in module.doors._declared
}
GRANTS = {"read": Grant.READ, "write": Grant.WRITE, "sign-in": Grant.SIGN_IN}

METRICS_TOKEN = "metrics-token-of-the-operator"

Headers = dict[str, str]


def test_every_route_says_who_gets_what(kind: str) -> None:
    assert set(DECLARED) == set(ACCESS)


@dataclass
class World:
    """An owner with a job that a runner holds, and everybody else who might try."""

    owner: Person
    job_id: str
    session_id: str
    token_id: str
    assignment: Assignment
    session: str
    good: dict[str, Headers]
    bad: dict[str, Headers]

    def id_for(self, route: str) -> str:
        if "/sessions/" in route:
            return self.session_id
        if "/tokens/" in route:
            return self.token_id
        return self.job_id if "/jobs/" in route else new_id()


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def signed(
    settings: ServerSettings,
    user_id: str,
    session_id: str,
    *,
    algorithm: str = "HS256",
    key: bytes | None = None,
    **changes: Any,
) -> str:
    """Return a token as ours are, with what a forger would change."""
    now = int(time.time())
    payload = {
        "sub": user_id,
        "sid": session_id,
        "iat": now,
        "exp": now + 900,
        "iss": "projectw",
        "aud": "projectw:access",
    } | changes
    return jwt.encode(payload, signing_key(settings) if key is None else key, algorithm)


def unsigned(token: str) -> str:
    """Return ``token`` as one that says it needs no signature."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return msgspec.structs.replace(settings, metrics_token=METRICS_TOKEN, login_attempts_per_minute=100_000)


@pytest.fixture
async def world(
    app: Quart, services: Services, settings: ServerSettings, database: Database, make_user: MakeUser
) -> World:
    owner, other = await make_user("owner@example.org"), await make_user("other@example.org")
    admin, disabled = await make_user("root@example.org", is_admin=True), await make_user("gone@example.org")
    revoked, newcomer = await make_user("revoked@example.org"), await make_user("new@example.org")

    async def token_of(one: Any, scope: Any) -> str:
        made = await services.api_tokens.create(one.person, NewToken("t", scope))
        return made.token

    claims = services.sessions.read(owner.tokens.access_token)
    assert claims is not None

    def forged(**changes: Any) -> str:
        return signed(settings, owner.person.id, claims.session_id, **changes)

    held_token, other_runner = [await services.runner_tokens.create(name) for name in ("one", "two")]
    job_id = await submitted(services, owner.person)
    runner = await services.runner_tokens.identify(held_token.token)
    assert runner is not None
    registered = await services.fleet.register(runner, Registration("one", "1", "fake", "cpu", ["tiny"]))
    reply = await services.dispatcher.heartbeat(runner, Heartbeat(registered.session, 0.0))
    assert reply.job is not None
    good = {
        "owner": owner.headers,
        "owner's writing token": bearer(await token_of(owner, "write")),
        "owner's reading token": bearer(await token_of(owner, "read")),
        "other user": other.headers,
        "other's writing token": bearer(await token_of(other, "write")),
        "newcomer": newcomer.headers,
        "admin": admin.headers,
        "admin's writing token": bearer(await token_of(admin, "write")),
        "admin's reading token": bearer(await token_of(admin, "read")),
        "runner": bearer(held_token.token),
        "other runner": bearer(other_runner.token),
        "metrics": bearer(METRICS_TOKEN),
    }
    spare = await services.api_tokens.create(owner.person, NewToken("spare"))
    gone = await services.api_tokens.create(owner.person, NewToken("gone", "write"))
    ended = await services.api_tokens.create(owner.person, NewToken("ended", "write"))
    dead_runner = await services.runner_tokens.create("dead")
    bad = {
        "nobody": {},
        "disabled user": disabled.headers,
        "disabled user's token": bearer(await token_of(disabled, "write")),
        "signed out": revoked.headers,
        "revoked token": bearer(gone.token),
        "token that ran out": bearer(ended.token),
        "sign-in that ran out": bearer(forged(exp=int(time.time()) - 1)),
        "token from the future": bearer(forged(iat=int(time.time()) + 3600)),
        "another algorithm": bearer(forged(algorithm="HS512", key=signing_key(settings) * 2)),
        "another algorithm, same key": bearer(forged(algorithm="HS384", key=signing_key(settings))),
        "no algorithm": bearer(unsigned(owner.tokens.access_token)),
        "another key": bearer(forged(key=b"0123456789abcdef0123456789abcdef")),
        "another issuer": bearer(forged(iss="elsewhere")),
        "another audience": bearer(forged(aud="projectw:other")),
        "no session": bearer(forged(sid=new_id())),
        "another's session": bearer(forged(sub=other.person.id)),
        "refresh token": bearer(owner.tokens.refresh_token),
        "mangled API token": bearer(gone.token[:-1] + "x"),
        "revoked runner": bearer(dead_runner.token),
        "basic": {
            "Authorization": "Basic " + base64.b64encode(b"owner@example.org:" + PASSWORD.encode()).decode()
        },
    }
    await services.sessions.logout_all(revoked.person)
    await services.api_tokens.revoke(owner.person, gone.id)
    await services.fleet.delete(dead_runner.id)
    await database.rows("UPDATE api_tokens SET expires_at = $1 WHERE id = $2", time.time() - 1, ended.id)
    await database.rows("UPDATE users SET disabled = TRUE WHERE id = $1", disabled.person.id)
    await database.rows(
        "UPDATE users SET unconfirmed_email = email, email = id WHERE id = $1", newcomer.person.id
    )
    return World(owner.person, job_id, claims.session_id, spare.id, reply.job, registered.session, good, bad)


async def code_of(client: Client, route: str, headers: Headers, world: World) -> tuple[int, str]:
    """Call ``route`` with an empty JSON object; return the status and the problem's code."""
    method, _, path = route.partition(" ")
    url = path.replace("{id}", world.id_for(path))
    query = {"lease": str(world.assignment.lease)} if "/runners/jobs/" in path else {}
    # HEAD of the events: the stream itself has no end.
    method = "HEAD" if path == "/api/events" else method
    answer = await client.open(url, method=method, headers=headers, data=b"{}", query_string=query)
    document = await answer.get_json() if answer.content_type == "application/problem+json" else None
    return answer.status_code, (document or {}).get("code", "")


REFUSALS = (
    "unauthorized",
    "forbidden",
    "insufficient-scope",
    "not-confirmed",
    "not-found",
    "lease-lost",
    "session-lost",
)


def refusal(words: list[str], caller: str) -> str | None:
    """Return the code with which ``caller``, whose credential is good, is refused; None if not."""
    who = words[0]
    if who == "anyone":
        return None
    if caller == "metrics":
        return None if who == "operator" else "unauthorized"
    if "runner" in caller:
        return None if who == "runner" else "forbidden"
    if who == "runner" or (who in ("admin", "operator") and "admin" not in caller):
        return "forbidden"
    grant = GRANTS[next((word for word in words if word in GRANTS), "read")]
    has = Grant.READ if "reading" in caller else Grant.WRITE if "writing" in caller else Grant.SIGN_IN
    if has < grant:
        return "insufficient-scope"
    if caller == "newcomer" and "unconfirmed" not in words:
        return "not-confirmed"
    if "own" in words and "owner" not in caller:
        return "not-found"
    return None


def before_all(route: str) -> bool:
    """Tell whether a good caller's visit leaves the world as it is, or ends what later ones need."""
    return route in ("POST /api/auth/logout", "POST /api/auth/logout-all") or route.startswith("DELETE")


def in_order() -> Iterator[str]:
    yield from (route for route in ACCESS if route in DECLARED and not before_all(route))
    yield from (route for route in ACCESS if before_all(route) and "logout" not in route)
    yield from (route for route in ACCESS if "logout" in route)


async def test_everybody_gets_what_is_said_and_nothing_else(client: Client, world: World) -> None:
    wrong = []
    for route in in_order():
        words = ACCESS[route].split()
        for caller, headers in world.bad.items():
            status, code = await code_of(client, route, headers, world)
            # A door for anyone answers whatever the credential; how is its own matter.
            if words[0] != "anyone" and (status, code) not in ((401, "unauthorized"), (401, "")):
                wrong.append(f"{route}: {caller} got {status} {code}")
    for route in in_order():
        words = ACCESS[route].split()
        if words[0] == "anyone":
            continue
        for caller, headers in sorted(world.good.items(), key=lambda each: "owner" in each[0]):
            expected = refusal(words, caller)
            if expected is None and before_all(route):
                continue  # shown below, where it may end things
            status, code = await code_of(client, route, headers, world)
            found = code if code in REFUSALS else None
            if expected is None and found == "not-found" and "own" not in words:
                found = None  # an admin's route, about an id that is nobody's
            if "held" in words and expected is None:
                found = None  # shown in the test below
            if found != expected and not (
                route == "GET /api/events" and status == {None: 200}.get(expected, 403)
            ):
                wrong.append(
                    f"{route}: {caller} got {status} {code or '-'} instead of {expected or 'what he wants'}"
                )
    assert wrong == []


async def test_the_doors_declare_what_is_said(kind: str) -> None:
    for route, door in DECLARED.items():
        words = ACCESS[route].split()
        assert door.who.value == words[0], route
        assert door.unconfirmed == ("unconfirmed" in words), route
        if words[0] in ("user", "admin"):
            assert door.needed is GRANTS[words[1]], route


async def test_what_ends_things_is_for_their_owner(client: Client, world: World) -> None:
    good = world.good
    for caller, path in (
        ("owner's writing token", f"/api/jobs/{world.job_id}"),
        ("owner", f"/api/tokens/{world.token_id}"),
        ("owner", f"/api/sessions/{world.session_id}"),
    ):
        assert (await client.delete(path, headers=good["other user"])).status_code in (403, 404)
        assert (await client.delete(path, headers=good[caller])).status_code == 204
    assert (await client.get("/api/users/me", headers=good["owner"])).status_code == 401
    assert (await client.get("/api/users/me", headers=good["owner's writing token"])).status_code == 200


async def test_a_runner_gets_the_job_that_it_holds_and_no_other(
    client: Client, world: World, services: Services
) -> None:
    held, url = world.assignment, f"/api/runners/jobs/{world.job_id}"
    waiting = await submitted(services, world.owner)
    one, two = world.good["runner"], world.good["other runner"]
    audio = {"query_string": {"lease": str(held.lease)}}
    assert (await client.get(f"{url}/audio", headers=one, **audio)).status_code == 200
    assert (await client.get(f"{url}/audio", headers=two, **audio)).status_code == 409
    other_lease = {"query_string": {"lease": str(held.lease + 1)}}
    assert (await client.get(f"{url}/audio", headers=one, **other_lease)).status_code == 409
    assert (await client.get(f"/api/runners/jobs/{waiting}/audio", headers=one, **audio)).status_code == 409
    result = {"lease": held.lease, "next": 0, "language": "en", "duration": 1.0}
    assert (await client.post(f"{url}/result", headers=two, json=result)).status_code == 409
    beat = {
        "session": world.session,
        "wait": 0,
        "job": {"id": world.job_id, "lease": held.lease, "progress": 0},
    }
    assert (await client.post("/api/runners/heartbeat", headers=two, json=beat)).status_code == 409
    unregister = {"session": world.session}
    assert (await client.post("/api/runners/unregister", headers=two, json=unregister)).status_code == 409
    assert (await client.post("/api/runners/heartbeat", headers=one, json=beat)).status_code == 200
    assert (await client.post(f"{url}/result", headers=one, json=result)).status_code == 200


async def test_an_admin_sees_of_a_job_all_but_its_text(client: Client, world: World) -> None:
    admin = world.good["admin"]
    for part in ("", "/segments", "/transcript", "/audio"):
        assert (await client.get(f"/api/jobs/{world.job_id}{part}", headers=admin)).status_code == 404
    listed = (await (await client.get("/api/admin/jobs", headers=admin)).get_json())["jobs"]
    assert [job["id"] for job in listed] == [world.job_id]
    assert listed[0]["owner"] == {"id": world.owner.id, "email": "owner@example.org"}
    wish = {"reason": "a court has asked for it", "format": "txt"}
    answer = await client.post(f"/api/admin/jobs/{world.job_id}/transcript", headers=admin, json=wish)
    assert (answer.status_code, (await answer.get_json())["code"]) == (403, "not-open")
