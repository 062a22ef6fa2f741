"""Signed tokens (JWT, RFC 7519 and RFC 8725), and the key that signs them."""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError, Mistake, read_secret

ALGORITHM = "HS256"
ISSUER = "projectw"
ACCESS = "projectw:access"
REFRESH = "projectw:refresh"
REQUIRED = ["sub", "sid", "iat", "exp", "iss", "aud"]

MOST_AHEAD_SECONDS = 60.0
"""How far ahead the clock of another server may be that has issued a token."""

KEY_FILE = "signing.key"
MIN_KEY_BYTES = 32
MIN_DIFFERENT_BYTES = 8


class Claims(NamedTuple):
    """What a token says: whose sign-in it belongs to, and for a refresh token, after how many refreshes."""

    user_id: str
    session_id: str
    generation: int = 0


class Signer:
    """Makes and reads tokens under one key. A token for one purpose (``aud``) is none for the other."""

    def __init__(self, key: bytes, *, now: Callable[[], float] = time.time) -> None:
        self._key = key
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
        return jwt.encode(payload, self._key, ALGORITHM)

    def read(self, token: str, audience: str) -> Claims | None:
        """Return what ``token`` says, or None when it is not ours, not for this purpose, or has run out."""
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={
                    "require": REQUIRED,
                    "strict_aud": True,
                    "enforce_minimum_key_length": True,
                    # By the machine's clock, which may jump; below by ours, which does not.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return _claims(payload) if self._is_current(payload["iat"], payload["exp"]) else None

    def _is_current(self, issued: object, ends: object) -> bool:
        if type(issued) is not int or type(ends) is not int:  # True is one, too
            return False
        now = self._now()
        return issued <= now + MOST_AHEAD_SECONDS and now < ends


def _claims(payload: dict[str, Any]) -> Claims | None:
    session, generation = payload["sid"], payload.get("gen", 0)
    if not isinstance(session, str) or not isinstance(generation, int):
        return None
    return Claims(payload["sub"], session, generation)


def signing_key(settings: ServerSettings) -> bytes:
    """Return the key: the one that is set, else the one in the data directory, made at the first call.

    Raises ConfigError when it is too weak or cannot be read.
    """
    secret = read_secret(settings.signing_key, settings.signing_key_file, name="server.signing_key")
    if secret is None:
        file = settings.home / KEY_FILE
        if not file.exists():
            _generate(file)
        secret = read_secret(None, file, name="server.signing_key")
    assert secret is not None, "a file was given"
    key = secret.encode()
    if len(key) < MIN_KEY_BYTES or len(set(key)) < MIN_DIFFERENT_BYTES:
        raise ConfigError([Mistake("server.signing_key", None, _WEAK)])
    return key


_WEAK = (
    f"is too weak: whoever guesses it can sign in as anyone; it has at least {MIN_KEY_BYTES} characters, "
    "made by chance, as `openssl rand -base64 48` prints them (or leave it out, and one is made and kept)"
)


def _generate(file: Path) -> None:
    """Write a new key to ``file``, whole or not at all, for its owner alone."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(48) + "\n")
            out.flush()
            os.fsync(descriptor)
        # A link fails where a rename would replace: of two programs that start at once, one key stays.
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
