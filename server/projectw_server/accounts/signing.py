"""Signed tokens (JWT, RFC 7519 and RFC 8725): one algorithm, every claim demanded, the key named in the head."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt

from projectw_server.accounts.keys import Key, Keys

ALGORITHM = "HS256"
ISSUER = "projectw"
ACCESS = "projectw:access"
REFRESH = "projectw:refresh"
REQUIRED = ["sub", "sid", "iat", "exp", "iss", "aud"]

MOST_REFRESHES = 2**31 - 1
"""As many as the database can count."""

MOST_AHEAD_SECONDS = 60.0
"""How far ahead the clock of another server may be that has issued a token."""


class Claims(NamedTuple):
    """What a token says: whose sign-in it belongs to, and for a refresh token, after how many refreshes."""

    user_id: str
    session_id: str
    generation: int = 0


class Signer:
    """Makes tokens under the key in use, and reads those of former ones too.

    A token for one purpose (``aud``) is none for another.
    """

    def __init__(self, keys: Keys | bytes, *, now: Callable[[], float] = time.time) -> None:
        self._keys = Keys([Key(keys)]) if isinstance(keys, bytes) else keys
        self._now = now

    def sign(self, claims: Claims, audience: str, seconds: float) -> str:
        """Return a token that is good for ``seconds`` from now."""
        issued = int(self._now())
        payload = {
            "sub": claims.user_id,
            "sid": claims.session_id,
            "iat": issued,
            "exp": issued + int(seconds),
            "iss": ISSUER,
            "aud": audience,
        }
        if audience == REFRESH:
            payload["gen"] = claims.generation
        key = self._keys.current
        return jwt.encode(payload, key.secret, ALGORITHM, headers={"kid": key.id})

    def read(self, token: str, audience: str) -> Claims | None:
        """Return what ``token`` says, or None when it is not ours, not for this purpose, or has run out."""
        try:
            id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        for key in self._keys.find(id, self._now()):
            payload = _payload(token, audience, key)
            if payload is not None and self._is_current(payload["iat"], payload["exp"]):
                return _claims(payload)
        return None

    def _is_current(self, issued: object, ends: object) -> bool:
        if type(issued) is not int or type(ends) is not int:  # True is one, too
            return False
        now = self._now()
        return issued <= now + MOST_AHEAD_SECONDS and now < ends


def _claims(payload: dict[str, Any]) -> Claims | None:
    session, generation = payload["sid"], payload.get("gen", 0)
    if not (isinstance(session, str) and session.isascii() and payload["sub"].isascii()):
        return None  # an id of ours is; of a lone surrogate no database can be asked
    if type(generation) is not int or not 0 <= generation <= MOST_REFRESHES:
        return None
    return Claims(payload["sub"], session, generation)


def _payload(token: str, audience: str, key: Key) -> dict[str, Any] | None:
    try:
        payload: dict[str, Any] = jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={
                "require": REQUIRED,
                "strict_aud": True,
                "enforce_minimum_key_length": True,
                # By the machine's clock, which may jump; by ours, which does not, in ``_is_current``.
                "verify_exp": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return payload
