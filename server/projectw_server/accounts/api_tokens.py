"""API tokens: for a person's scripts, shown once, kept as hashes, and gone with their owner."""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.principals import Grant, Person
from projectw_server.accounts.secret_tokens import digest, new_token
from projectw_server.accounts.sessions import check_signed_in
from projectw_server.accounts.users import COLUMNS_OF_CALLER, caller_of
from projectw_server.clock import moment
from projectw_server.db import Database, Row, Transaction
from projectw_shared.accounts import ApiToken, ApiTokenList, CreatedToken, NewToken, Scope
from projectw_shared.errors import Conflict, Invalid, NotFound, ProjectWError
from projectw_shared.ids import new_id

PREFIX = "pwt_"
MOST = 100
"""API tokens of one user."""

USE_WRITTEN_EVERY = 60.0
"""Seconds in which a token's last use is written once."""

USES_REMEMBERED = 10_000

GRANTS: dict[Scope, Grant] = {"read": Grant.READ, "write": Grant.WRITE}

_IDENTIFY = f"""
    SELECT t.id AS token_id, t.scope, {COLUMNS_OF_CALLER}
    FROM api_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND NOT u.disabled
"""  # noqa: S608  columns of ours


class ApiTokens:
    """Makes API tokens, recognises them, and takes them back."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._used: OrderedDict[str, float] = OrderedDict()

    async def create(self, person: Person, wish: NewToken) -> CreatedToken:
        """Make a token for ``person``; Invalid when it would have run out already, Conflict beyond ``MOST``."""
        now = self._now()
        ends = None if wish.expires_at is None else wish.expires_at.timestamp()
        if ends is not None and ends <= now:
            raise Invalid("A token's expires_at lies in the future; leave it out for one without end")
        secret = new_token(PREFIX)

        async def work(transaction: Transaction) -> Row:
            await check_signed_in(transaction, person)
            count = await transaction.row(
                "SELECT count(*) AS number FROM api_tokens WHERE user_id = $1", person.id
            )
            if count is not None and count["number"] >= MOST:
                raise Conflict(f"There are {MOST} tokens already; revoke one first")
            row = await transaction.row(
                "INSERT INTO api_tokens (id, user_id, name, scope, token_hash, created_at, expires_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
                new_id(),
                person.id,
                wish.name,
                wish.scope,
                digest(secret),
                now,
                ends,
            )
            assert row is not None, "inserting gives a row"
            await note(transaction, Action.TOKEN_CREATED, row["id"], scope=wish.scope)
            return row

        made = _shown(await self._database.transaction(work))
        return CreatedToken(
            made.id, made.name, made.scope, made.created_at, made.expires_at, made.used_at, secret
        )

    async def list(self, person: Person) -> ApiTokenList:
        """Return the tokens of ``person``, the newest first; those that have run out too."""
        rows = await self._database.rows(
            "SELECT * FROM api_tokens WHERE user_id = $1 ORDER BY id DESC", person.id
        )
        return ApiTokenList([_shown(row) for row in rows])

    async def revoke(self, person: Person, token_id: str) -> None:
        """Refuse a token of ``person`` from now on."""

        async def work(transaction: Transaction) -> None:
            gone = await transaction.rows(
                "DELETE FROM api_tokens WHERE id = $1 AND user_id = $2 RETURNING id", token_id, person.id
            )
            if not gone:
                raise NotFound("There is no such token")
            await note(transaction, Action.TOKEN_REVOKED, token_id)

        await self._database.transaction(work)

    async def identify(self, token: str) -> Person | None:
        """Return whose ``token`` it is, with what it grants; None for one that is not, or no longer, good."""
        row = await self._database.lookup(_IDENTIFY, digest(token), self._now())
        if row is None:
            return None
        await self._note_use(row["token_id"])
        return caller_of(row, token_id=row["token_id"], grant=GRANTS[row["scope"]])

    async def is_good(self, token_id: str) -> bool:
        """Tell whether a token still stands, for streams that outlast a request."""
        row = await self._database.lookup(
            "SELECT 1 AS found FROM api_tokens t JOIN users u ON u.id = t.user_id"
            " WHERE t.id = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND NOT u.disabled",
            token_id,
            self._now(),
        )
        return row is not None

    async def _note_use(self, token_id: str) -> None:
        now = self._now()
        if now - self._used.get(token_id, float("-inf")) < USE_WRITTEN_EVERY:
            return
        self._used[token_id] = now
        while len(self._used) > USES_REMEMBERED:
            self._used.popitem(last=False)
        with suppress(ProjectWError):  # a database that cannot write just now can still be read
            await self._database.rows("UPDATE api_tokens SET used_at = $1 WHERE id = $2", now, token_id)


def _shown(row: Row) -> ApiToken:
    created_at = moment(row["created_at"])
    assert created_at is not None, "a token has a beginning"
    return ApiToken(
        id=row["id"],
        name=row["name"],
        scope=row["scope"],
        created_at=created_at,
        expires_at=moment(row["expires_at"]),
        used_at=moment(row["used_at"]),
    )
