"""The account doors of the stand-in for the server: people, their sign-ins and tokens, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from projectw_shared.accounts import (
    AdminUser,
    ApiToken,
    CreatedToken,
    Disclosure,
    NewToken,
    Quota,
    SessionInfo,
    Usage,
    User,
)
from projectw_shared.errors import (
    Forbidden,
    NotConfirmed,
    NotFound,
    NotOpen,
    PasswordMismatch,
    Unauthorized,
    WeakPassword,
    WrongPassword,
    WrongToken,
)
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


def as_json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


NOTHING = web.Response


@dataclass
class FakeUser:
    """An account, as the stand-in keeps it."""

    email: str
    password: str = PASSWORD
    is_admin: bool = False
    disabled: bool = False
    confirmed: bool = True
    unconfirmed_email: str | None = None
    quota: Quota = field(default_factory=Quota)
    has_own_quota: bool = False
    usage: Usage = field(default_factory=Usage)
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_owner(self) -> User:
        return User(
            self.id, self.email, self.is_admin, self.created_at,
            self.confirmed, self.unconfirmed_email, self.quota, self.usage,
        )  # fmt: skip

    def to_admin(self) -> AdminUser:
        return AdminUser(
            self.id, self.email, self.is_admin, self.disabled, self.confirmed, self.created_at,
            self.quota, self.has_own_quota, self.usage,
        )  # fmt: skip


class FakeAccounts:
    """People, and what they have; a test looks at it and changes it by hand."""

    def __init__(self) -> None:
        self.users = [FakeUser(EMAIL)]
        self.owners: dict[str, FakeUser] = {}
        """Whose an access token is; the first user's where it does not say."""
        self.codes: dict[str, tuple[str, FakeUser]] = {}
        """Code from a mail → what for, and whose."""
        self.signup = "closed"
        self.domains: list[str] = []
        self.mail = True
        self.sessions: list[SessionInfo] = []
        self.tokens: list[ApiToken] = []
        self.disclosures: list[Disclosure] = []
        self.defaults = JobSettings()
        self.ended_everywhere = 0
        self.end_sessions: Callable[[], None] = lambda: None
        """Ends every session, as a change of the address does."""

    @property
    def ada(self) -> FakeUser:
        return self.users[0]

    def add_session(self, **fields: Any) -> SessionInfo:
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "id": new_id(),
            "created_at": now - timedelta(days=2),
            "used_at": now,
            "expires_at": now + timedelta(days=28),
            "address": "192.0.2.7",
            "client": "projectw/0.1.0",
            "current": False,
        }
        self.sessions.append(SessionInfo(**{**values, **fields}))
        return self.sessions[-1]

    def add_token(self, **fields: Any) -> ApiToken:
        values: dict[str, Any] = {
            "id": new_id(), "name": "backup", "scope": "read", "created_at": datetime.now(UTC),
            "expires_at": None, "used_at": None,
        }  # fmt: skip
        self.tokens.insert(0, ApiToken(**{**values, **fields}))
        return self.tokens[0]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/auth/signup", self._sign_up),
            web.post("/api/auth/activate", self._activate),
            web.post("/api/auth/activate/resend", self._resend),
            web.post("/api/auth/password-reset", self._ask_for_reset),
            web.post("/api/auth/password-reset/confirm", self._reset),
            web.post("/api/auth/logout-all", self._logout_all),
            web.get("/api/users/me", self._me),
            web.delete("/api/users/me", self._delete),
            web.post("/api/users/me/password", self._password),
            web.post("/api/users/me/email", self._email),
            web.get("/api/users/me/defaults", self._get_defaults),
            web.put("/api/users/me/defaults", self._put_defaults),
            web.get("/api/users/me/disclosures", self._list_disclosures),
            web.get("/api/sessions", self._list_sessions),
            web.delete("/api/sessions/{id}", self._revoke_session),
            web.get("/api/tokens", self._list_tokens),
            web.post("/api/tokens", self._create_token),
            web.delete("/api/tokens/{id}", self._revoke_token),
        ]

    # --- who asks -----------------------------------------------------------------------------------------

    def owner_of(self, request: web.Request) -> FakeUser:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.users:
            raise Unauthorized("Your session has ended; sign in again.")
        return self.owners.get(token, self.ada)

    def check(self, request: web.Request) -> None:
        """Refuse what an account that is not confirmed may not do, and what only admins may."""
        user = self.owner_of(request)
        if user.disabled:
            raise Unauthorized("Your session has ended; sign in again.")
        allowed = ("/api/auth/", "/api/users/me")
        if not user.confirmed and not request.path.startswith(allowed):
            raise NotConfirmed("The e-mail address of this account is not confirmed yet.")
        admins_only = request.path.startswith(("/api/admin", "/api/runners"))
        if admins_only and not user.is_admin:
            raise Forbidden("Only an admin may do that.")

    def log_in(self, email: str, password: str) -> FakeUser:
        for user in self.users:
            names = (user.email, user.unconfirmed_email)
            if email in names and user.password == password and not user.disabled:
                return user
        raise WrongPassword("The e-mail address or the password is wrong.")

    def _with_password(self, request: web.Request, password: str) -> FakeUser:
        user = self.owner_of(request)
        if user.password != password:
            raise PasswordMismatch("The password is wrong.")
        return user

    def _mail(self, purpose: str, user: FakeUser) -> None:
        self.codes = {code: found for code, found in self.codes.items() if found != (purpose, user)}
        self.codes[f"pwm-{purpose}-{len(self.codes)}-{new_id()[-6:]}"] = (purpose, user)

    def _use(self, code: str, *purposes: str) -> tuple[str, FakeUser]:
        if code not in self.codes or self.codes[code][0] not in purposes:
            raise WrongToken("This code is not valid, was used already, or has run out.")
        return self.codes.pop(code)

    # --- the doors ----------------------------------------------------------------------------------------

    async def _sign_up(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.signup == "closed":
            raise NotOpen("This server lets nobody sign up; ask its operator for an account.")
        _check_strength(body["password"])
        user = FakeUser(new_id(), body["password"], confirmed=False, unconfirmed_email=body["email"])
        self.users.append(user)
        self._mail("confirm", user)
        return NOTHING(status=202)

    async def _activate(self, request: web.Request) -> web.Response:
        _, user = self._use((await request.json())["token"], "confirm")
        assert user.unconfirmed_email
        if user.confirmed and "Authorization" not in request.headers:
            self.end_sessions()
        user.email, user.unconfirmed_email, user.confirmed = user.unconfirmed_email, None, True
        return NOTHING(status=204)

    async def _resend(self, request: web.Request) -> web.Response:
        self._mail("confirm", self.owner_of(request))
        return NOTHING(status=202)

    async def _ask_for_reset(self, request: web.Request) -> web.Response:
        email = (await request.json())["email"]
        for user in self.users:
            if user.email == email:
                self._mail("reset", user)
        return NOTHING(status=202)

    async def _reset(self, request: web.Request) -> web.Response:
        body = await request.json()
        _check_strength(body["new_password"])
        _, user = self._use(body["token"], "reset")
        user.password = body["new_password"]
        return NOTHING(status=204)

    async def _logout_all(self, _request: web.Request) -> web.Response:
        self.ended_everywhere += 1
        return NOTHING(status=204)

    async def _me(self, request: web.Request) -> web.Response:
        return as_json(self.owner_of(request).to_owner())

    async def _delete(self, request: web.Request) -> web.Response:
        user = self._with_password(request, (await request.json())["password"])
        self.users.remove(user)
        return NOTHING(status=204)

    async def _password(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = self._with_password(request, body["password"])
        _check_strength(body["new_password"])
        user.password = body["new_password"]
        return NOTHING(status=204)

    async def _email(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = self._with_password(request, body["password"])
        user.unconfirmed_email = body["new_email"]
        self._mail("confirm", user)
        return NOTHING(status=204)

    async def _get_defaults(self, _request: web.Request) -> web.Response:
        return as_json(self.defaults)

    async def _put_defaults(self, request: web.Request) -> web.Response:
        self.defaults = msgspec.json.decode(await request.read(), type=JobSettings)
        return as_json(self.defaults)

    async def _list_disclosures(self, _request: web.Request) -> web.Response:
        return as_json({"disclosures": self.disclosures})

    async def _list_sessions(self, _request: web.Request) -> web.Response:
        return as_json({"sessions": self.sessions})

    async def _revoke_session(self, request: web.Request) -> web.Response:
        _remove(self.sessions, request.match_info["id"])
        return NOTHING(status=204)

    async def _list_tokens(self, _request: web.Request) -> web.Response:
        return as_json({"tokens": self.tokens})

    async def _create_token(self, request: web.Request) -> web.Response:
        wish = msgspec.json.decode(await request.read(), type=NewToken)
        made = self.add_token(name=wish.name, scope=wish.scope, expires_at=wish.expires_at)
        fields = msgspec.structs.asdict(made)
        return as_json(CreatedToken(**fields, token="pwt_the-secret"), status=201)

    async def _revoke_token(self, request: web.Request) -> web.Response:
        _remove(self.tokens, request.match_info["id"])
        return NOTHING(status=204)


def _check_strength(password: str) -> None:
    if len(password) < 8:
        raise WeakPassword("This password would be guessed; take at least 8 characters.")


def _remove(found: list[Any], identity: str) -> None:
    for each in found:
        if each.id == identity:
            found.remove(each)
            return
    raise NotFound("There is nothing here.")
