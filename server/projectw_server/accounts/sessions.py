"""Sign-ins: begun with a password, kept up with refresh tokens that are used once, ended by either side."""

import time
from collections.abc import Callable

from projectw_server.accounts.keys import Keys
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.signing import ACCESS, REFRESH, Claims, Signer
from projectw_server.accounts.users import normalised
from projectw_server.db import Database, Row, Transaction
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import Tokens
from projectw_shared.errors import Forbidden, Invalid, Unauthorized, WrongPassword
from projectw_shared.ids import new_id

DAY = 86_400.0

_IDENTIFY = """
    SELECT u.id, u.email, u.is_admin, u.created_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > $3 AND NOT u.disabled
"""
_REFRESH = """
    UPDATE sessions SET generation = generation + 1, expires_at = $1
    WHERE id = $2 AND user_id = $3 AND generation = $4 AND expires_at > $5
      AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND NOT u.disabled)
    RETURNING generation
"""


class Sessions:
    """The sign-ins. Each is a row, looked at with every request, so that ending one works at once."""

    def __init__(
        self,
        database: Database,
        settings: ServerSettings,
        keys: Keys | bytes,
        passwords: Passwords,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._signer = Signer(keys, now=now)
        self._now = now
        self._access_seconds = settings.access_token_minutes * 60
        self._session_seconds = settings.session_days * DAY

    async def login(self, email: str, password: str) -> Tokens:
        """Begin a sign-in.

        Raises WrongPassword, after the same time and with the same words, whether the account or the
        password is wrong; Forbidden, to the account's owner only, when it is disabled.
        """
        account = await self._account(email)
        stored = None if account is None else account["password_hash"]
        if not await self._passwords.verify(password, stored) or account is None:
            raise WrongPassword("The e-mail address or the password is wrong")
        if account["disabled"]:
            raise Forbidden("This account is disabled; an admin can enable it again")
        if self._passwords.needs_rehash(account["password_hash"]):
            await self._rehash(account, password)
        return await self._begin(account["id"])

    async def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens for a refresh token that was not used before.

        One that was is in two hands, so its sign-in ends. Raises Unauthorized.
        """
        claims = self._signer.read(refresh_token, REFRESH)
        if claims is None:
            raise Unauthorized("This refresh token is not valid or has run out; sign in again")
        now = self._now()
        row = await self._database.row(
            _REFRESH, now + self._session_seconds, claims.session_id, claims.user_id, claims.generation, now
        )
        if row is None:
            await self._database.rows(
                "DELETE FROM sessions WHERE id = $1 AND generation > $2", claims.session_id, claims.generation
            )
            raise Unauthorized("This refresh token was used before, or its sign-in has ended; sign in again")
        return self._tokens(claims._replace(generation=row["generation"]))

    async def is_open(self, person: Person) -> bool:
        """Tell whether the sign-in that ``person`` came with still stands, for streams that outlast a request."""
        if person.session_id is None:
            return False
        return await self.identify(Claims(person.id, person.session_id)) is not None

    async def logout(self, session_id: str) -> None:
        """End a sign-in: its tokens are refused from now on."""
        await self._database.rows("DELETE FROM sessions WHERE id = $1", session_id)

    async def identify(self, claims: Claims) -> Person | None:
        """Return who signed in, or None when that sign-in has ended or the account is disabled."""
        row = await self._database.lookup(_IDENTIFY, claims.session_id, claims.user_id, self._now())
        if row is None:
            return None
        return Person(
            id=row["id"],
            email=row["email"],
            is_admin=bool(row["is_admin"]),
            created_at=row["created_at"],
            session_id=claims.session_id,
        )

    def read(self, access_token: str) -> Claims | None:
        """Return what an access token says, without looking whether its sign-in still stands."""
        return self._signer.read(access_token, ACCESS)

    def sign(self, claims: Claims) -> str:
        """Return an access token."""
        return self._signer.sign(claims, ACCESS, self._access_seconds)

    async def _account(self, email: str) -> Row | None:
        try:
            address = normalised(email)
        except Invalid:
            return None
        return await self._database.row(
            "SELECT id, password_hash, disabled FROM users WHERE email = $1", address
        )

    async def _rehash(self, account: Row, password: str) -> None:
        stronger = await self._passwords.hash(password)
        await self._database.rows(
            "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
            stronger,
            account["id"],
            account["password_hash"],
        )

    async def _begin(self, user_id: str) -> Tokens:
        claims, now = Claims(user_id, new_id()), self._now()

        async def work(transaction: Transaction) -> None:
            await transaction.rows(
                "DELETE FROM sessions WHERE user_id = $1 AND expires_at <= $2", user_id, now
            )
            await transaction.rows(
                "INSERT INTO sessions (id, user_id, generation, created_at, expires_at) VALUES ($1, $2, 0, $3, $4)",
                claims.session_id,
                user_id,
                now,
                now + self._session_seconds,
            )

        await self._database.transaction(work)
        return self._tokens(claims)

    def _tokens(self, claims: Claims) -> Tokens:
        return Tokens(
            access_token=self.sign(claims),
            expires_in=int(self._access_seconds),
            refresh_token=self._signer.sign(claims, REFRESH, self._session_seconds),
        )
