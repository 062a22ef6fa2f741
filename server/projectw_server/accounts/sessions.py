"""Sign-ins: begun with a password, kept up with refresh tokens that are used once, ended by either side."""

import time
from collections.abc import Callable
from dataclasses import replace

from projectw_server.accounts.acting import actor
from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.entrance import Entrance, Opened
from projectw_server.accounts.keys import Keys
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.signing import ACCESS, REFRESH, Claims, Signer
from projectw_server.accounts.throttle import Throttle
from projectw_server.accounts.users import COLUMNS_OF_CALLER, caller_of
from projectw_server.clock import moment
from projectw_server.db import Database, Row, Transaction
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import SessionInfo, SessionList, Tokens
from projectw_shared.errors import NotFound, Unauthorized, WrongPassword
from projectw_shared.ids import new_id

DAY = 86_400.0

MOST = 1000
"""Sign-ins of one user: beyond them the one that has not been used for longest ends, or a script that signs in again
and again would fill the table and the list."""

LOGIN_TRIES = 2
"""How often a password is looked at when its hash changes while that is done."""

_IDENTIFY = f"""
    SELECT {COLUMNS_OF_CALLER}
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > $3 AND NOT u.disabled
"""  # noqa: S608  columns of ours
_REFRESH = """
    UPDATE sessions SET generation = generation + 1, expires_at = $1, used_at = $5, address = $6, client = $7
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
        throttle: Throttle | None = None,
    ) -> None:
        self._database = database
        self._entrance = Entrance(
            database, passwords, throttle or Throttle(), takes_unconfirmed=settings.signup == "open"
        )
        self._signer = Signer(keys, now=now)
        self._now = now
        self._access_seconds = settings.access_token_minutes * 60
        self._session_seconds = settings.session_days * DAY

    async def login(self, email: str, password: str) -> Tokens:
        """Begin a sign-in.

        Raises WrongPassword, after the same time and with the same words, whether the account or the
        password is wrong; TooManyTries; Forbidden, to the account's owner only, when it is disabled.
        """
        for _ in range(LOGIN_TRIES):
            if (tokens := await self._begin(await self._entrance.recognise(email, password))) is not None:
                return tokens
        raise WrongPassword("The password was changed at this very moment; try again")

    async def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens for a refresh token that was not used before.

        One that was is in two hands, so its sign-in ends. Raises Unauthorized.
        """
        claims = self._signer.read(refresh_token, REFRESH)
        if claims is None:
            raise Unauthorized("This refresh token is not valid or has run out; sign in again")
        now, who = self._now(), actor()
        row = await self._database.row(
            _REFRESH,
            now + self._session_seconds,
            claims.session_id,
            claims.user_id,
            claims.generation,
            now,
            who.address,
            who.client,
        )
        if row is None:
            await self._database.transaction(lambda transaction: _end_stolen(transaction, claims))
            raise Unauthorized("This refresh token was used before, or its sign-in has ended; sign in again")
        return self._tokens(claims._replace(generation=row["generation"]))

    async def is_open(self, session_id: str, user_id: str) -> bool:
        """Tell whether a sign-in still stands, for streams that outlast a request."""
        return await self.identify(Claims(user_id, session_id)) is not None

    async def logout(self, session_id: str) -> None:
        """End a sign-in: its tokens are refused from now on."""

        async def work(transaction: Transaction) -> None:
            if await transaction.rows("DELETE FROM sessions WHERE id = $1 RETURNING id", session_id):
                await note(transaction, Action.LOGGED_OUT, session_id)

        await self._database.transaction(work)

    async def revoke(self, person: Person, session_id: str) -> None:
        """End a sign-in of ``person``, which need not be the present one."""

        async def work(transaction: Transaction) -> None:
            gone = await transaction.rows(
                "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id", session_id, person.id
            )
            if not gone:
                raise NotFound("There is no such sign-in")
            await note(transaction, Action.SESSION_REVOKED, session_id)

        await self._database.transaction(work)

    async def logout_all(self, person: Person) -> None:
        """End every sign-in of ``person``, the present one too."""
        await self._database.transaction(lambda transaction: end_sessions(transaction, person.id))

    async def list(self, person: Person) -> SessionList:
        """Return the sign-ins of ``person`` that stand, those used last first."""
        rows = await self._database.rows(
            "SELECT * FROM sessions WHERE user_id = $1 AND expires_at > $2"
            " ORDER BY coalesce(used_at, created_at) DESC, id DESC",
            person.id,
            self._now(),
        )
        return SessionList([_shown(row, person) for row in rows])

    async def identify(self, claims: Claims) -> Person | None:
        """Return who signed in, or None when that sign-in has ended or the account is disabled."""
        row = await self._database.lookup(_IDENTIFY, claims.session_id, claims.user_id, self._now())
        return None if row is None else caller_of(row, session_id=claims.session_id)

    async def check_password(self, person: Person, password: str) -> None:
        """See that ``password`` is that of ``person``, who changes something that matters.

        Raises PasswordMismatch, and TooManyTries without a look at the password.
        """
        await self._entrance.check_password(person, password)

    def read(self, access_token: str) -> Claims | None:
        """Return what an access token says, without looking whether its sign-in still stands."""
        return self._signer.read(access_token, ACCESS)

    def sign(self, claims: Claims) -> str:
        """Return an access token."""
        return self._signer.sign(claims, ACCESS, self._access_seconds)

    async def _begin(self, opened: Opened) -> Tokens | None:
        """Begin a sign-in; None when the password was changed, or the account closed, since it was looked at."""
        user_id = opened.user_id
        claims, now = Claims(user_id, new_id()), self._now()
        who = replace(actor(), kind="user", id=user_id)

        async def work(transaction: Transaction) -> bool:
            row = await transaction.row(
                "SELECT password_hash FROM users WHERE id = $1 AND NOT disabled FOR SHARE", user_id
            )
            # Else a sign-in with the old password would outlive the change that ends all of them.
            if row is None or row["password_hash"] != opened.password_hash:
                return False
            await transaction.rows(
                "DELETE FROM sessions WHERE user_id = $1 AND expires_at <= $2", user_id, now
            )
            await transaction.rows(
                "INSERT INTO sessions (id, user_id, generation, created_at, used_at, expires_at, address, client)"
                " VALUES ($1, $2, 0, $3, $3, $4, $5, $6)",
                claims.session_id,
                user_id,
                now,
                now + self._session_seconds,
                who.address,
                who.client,
            )
            await transaction.rows(
                "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN ("
                " SELECT id FROM sessions WHERE user_id = $1 ORDER BY coalesce(used_at, created_at) DESC, id DESC"
                " LIMIT $2)",
                user_id,
                MOST,
            )
            await note(transaction, Action.LOGGED_IN, claims.session_id, by=who)
            return True

        return self._tokens(claims) if await self._database.transaction(work) else None

    def _tokens(self, claims: Claims) -> Tokens:
        return Tokens(
            access_token=self.sign(claims),
            expires_in=int(self._access_seconds),
            refresh_token=self._signer.sign(claims, REFRESH, self._session_seconds),
        )


async def end_sessions(transaction: Transaction, user_id: str, *, but: str | None = None) -> None:
    """End every sign-in of a user, except ``but``."""
    gone = await transaction.rows(
        "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING id", user_id, but or ""
    )
    await note(transaction, Action.SESSIONS_ENDED, user_id, count=len(gone))


async def check_signed_in(transaction: Transaction, person: Person) -> None:
    """See that the sign-in of ``person`` still stands, and keep it so to the end of ``transaction``.

    For what outlives a sign-in: a request that was let in before all of them ended must not leave it behind. Nothing
    is asked of who comes by no sign-in, and so by no request. Raises Unauthorized.
    """
    if person.session_id is None:
        return
    # The account first, which all who end its sign-ins take before those.
    await transaction.row("SELECT id FROM users WHERE id = $1 FOR UPDATE", person.id)
    found = await transaction.row(
        "SELECT 1 AS found FROM sessions WHERE id = $1 AND user_id = $2", person.session_id, person.id
    )
    if found is None:
        raise Unauthorized("This sign-in has ended; sign in again")


async def _end_stolen(transaction: Transaction, claims: Claims) -> None:
    gone = await transaction.rows(
        "DELETE FROM sessions WHERE id = $1 AND generation > $2 RETURNING id",
        claims.session_id,
        claims.generation,
    )
    if gone:
        await note(transaction, Action.TOKEN_STOLEN, claims.session_id)


def _shown(row: Row, person: Person) -> SessionInfo:
    created_at, expires_at = moment(row["created_at"]), moment(row["expires_at"])
    assert created_at is not None and expires_at is not None, "a sign-in has a beginning and an end"
    return SessionInfo(
        id=row["id"],
        created_at=created_at,
        used_at=moment(row["used_at"]) or created_at,
        expires_at=expires_at,
        address=row["address"],
        client=row["client"],
        current=row["id"] == person.session_id,
    )
