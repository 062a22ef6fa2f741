"""Who calls, and whether they may."""

from enum import Enum
from hmac import compare_digest
from typing import Any, cast

from quart import current_app, request
from quart_auth import AuthUser, QuartAuth

from projectw_server.accounts.acting import actor, become, visitor
from projectw_server.accounts.api_tokens import PREFIX as API_PREFIX
from projectw_server.accounts.principals import Grant, Person, RunnerIdentity
from projectw_server.accounts.runner_tokens import PREFIX as RUNNER_PREFIX
from projectw_server.accounts.signing import Claims
from projectw_server.api.access import CALLER
from projectw_server.api.context import services
from projectw_shared.errors import Forbidden, InsufficientScope, NotConfirmed, Unauthorized

Caller = Person | RunnerIdentity

EXTENSION = "QUART_AUTH"


class Who(Enum):
    """Who may call a route. An operator is an admin, or a program with the metrics token."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"
    RUNNER = "runner"
    OPERATOR = "operator"


class SignedIn(AuthUser):
    """What an access token says of its bearer; whether the sign-in still stands, only the database knows."""

    @property
    def claims(self) -> Claims | None:
        """The token's claims, or None without a token that is good."""
        return None if self.auth_id is None else _claims(self.auth_id)


class JwtAuth(QuartAuth):
    """Quart-Auth with JWT: its tokens are our access tokens, its ``auth_id`` is ``USER_ID.SESSION_ID``."""

    user_class = SignedIn

    def __init__(self, app: object = None) -> None:
        super().__init__(app, mode="bearer")  # type: ignore[arg-type]  # its own signature takes the app or None

    def dump_token(self, auth_id: str, app: object = None) -> str:
        """Return an access token."""
        return services().sessions.sign(_claims(auth_id))

    def load_token(self, token: str, app: object = None) -> str | None:
        """Return the ``auth_id`` of an access token that is ours and has not run out."""
        claims = services().sessions.read(token)
        return claims and f"{claims.user_id}.{claims.session_id}"

    def load_bearer(self) -> str | None:
        """Return the ``auth_id`` of the request's token."""
        token = bearer_token()
        return (
            None if token is None or token.startswith((RUNNER_PREFIX, API_PREFIX)) else self.load_token(token)
        )


def _claims(auth_id: str) -> Claims:
    user_id, _, session_id = auth_id.partition(".")
    return Claims(user_id, session_id)


def bearer_token() -> str | None:
    """Return what the request brings after ``Authorization: Bearer`` (RFC 6750, 2.1), None when it brings none."""
    given = request.headers.getlist("Authorization")
    if len(given) != 1:
        return None  # of two, a proxy and we might each believe another
    scheme, gap, token = given[0].partition(" ")
    return token.strip() if gap and scheme.lower() == "bearer" else None


async def admit(who: Who, grant: Grant = Grant.SIGN_IN, *, unconfirmed: bool = False) -> Caller | None:
    """Return the caller of the present request if it is one that ``who`` means, with a credential that grants enough.

    None for anyone and for a program with the metrics token. ``unconfirmed`` lets in who has not confirmed an address
    yet. Raises Unauthorized without a valid token, Forbidden for a valid one of another kind, InsufficientScope and
    NotConfirmed.
    """
    become(visitor(request.remote_addr, request.headers.get("User-Agent")))
    if who is Who.ANYONE:
        return None
    token = bearer_token()
    if token is None:
        raise Unauthorized("This needs a token, as in 'Authorization: Bearer …'; sign in to get one")
    if who is Who.OPERATOR and _is_metrics_token(token):
        return None
    caller = await _caller(token)
    if caller is None:
        raise Unauthorized("The token is not valid, has run out, or was revoked; sign in again")
    # Told to the access log, which lies outside the application.
    cast("dict[str, Any]", request.scope)[CALLER] = {
        "runner" if isinstance(caller, RunnerIdentity) else "user": caller.id
    }
    become(actor().known_as(caller))
    _check_kind(caller, who)
    if isinstance(caller, Person):
        _check_grant(caller, grant)
        if not (caller.confirmed or unconfirmed):
            raise NotConfirmed("Confirm your e-mail address first: enter the code that was sent to you")
    return caller


async def own_session() -> str | None:
    """Return the sign-in that the present request comes with, at a door that asks for none."""
    token = bearer_token()
    caller = None if token is None else await _caller(token)
    return caller.session_id if isinstance(caller, Person) else None


async def _caller(token: str) -> Caller | None:
    if token.startswith(RUNNER_PREFIX):
        return await services().runner_tokens.identify(token)
    if token.startswith(API_PREFIX):
        return await services().api_tokens.identify(token)
    auth: JwtAuth = current_app.extensions[EXTENSION][0]
    user = auth.load_user()
    claims = user.claims if isinstance(user, SignedIn) else None
    return None if claims is None else await services().sessions.identify(claims)


def _check_kind(caller: Caller, who: Who) -> None:
    if isinstance(caller, RunnerIdentity):
        if who is not Who.RUNNER:
            raise Forbidden("This is for people; the token is a runner's")
    elif who is Who.RUNNER:
        raise Forbidden("This is for runners; make a token with 'projectw-server runner add NAME'")
    elif who in (Who.ADMIN, Who.OPERATOR) and not caller.is_admin:
        raise Forbidden("This is for admins")


def _check_grant(caller: Person, grant: Grant) -> None:
    if caller.grant >= grant:
        return
    if grant is Grant.SIGN_IN:
        raise InsufficientScope("This needs a sign-in with the password; an API token is not enough")
    raise InsufficientScope("This API token may only read; make one with the scope write")


def _is_metrics_token(token: str) -> bool:
    expected = services().settings.metrics_token
    return bool(expected) and compare_digest(token.encode("utf-8", "replace"), str(expected).encode())
