"""The way in with a password: which account it opens, and how often one may try."""

from collections.abc import Sequence
from typing import NamedTuple

from projectw_server.accounts.acting import actor
from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.issuing import PENDING
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.throttle import Throttle
from projectw_server.accounts.users import normalised
from projectw_server.db import Database, Row
from projectw_server.sources import UNKNOWN
from projectw_shared.errors import (
    Forbidden,
    Invalid,
    PasswordMismatch,
    TooManyTries,
    Unauthorized,
    WrongPassword,
)

_CONFIRMED = "SELECT id, password_hash, disabled FROM users WHERE email = $1 AND erased_at IS NULL"
_PENDING = f"SELECT u.id, u.password_hash, u.disabled FROM users u WHERE {PENDING} ORDER BY u.id DESC LIMIT 1"  # noqa: S608  a constant
_SIGNED_IN_FROM = (
    "SELECT 1 AS found FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1 AND s.address = $2"
)


class Opened(NamedTuple):
    """An account that a password has opened, and the hash by which it did."""

    user_id: str
    password_hash: str


class Entrance:
    """Recognises people by their passwords.

    An address may belong to an account that has confirmed it and, where people may sign up, to others that have not;
    of those the newest is looked at. A password that opens none is held against as many hashes as there could be.
    """

    def __init__(
        self, database: Database, passwords: Passwords, throttle: Throttle, *, takes_unconfirmed: bool
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self._takes_unconfirmed = takes_unconfirmed

    async def recognise(self, email: str, password: str) -> Opened:
        """Return the account that ``email`` and ``password`` open.

        Raises WrongPassword, after the same time and with the same words, whatever is wrong; TooManyTries without a
        look at the password; Forbidden, to the account's owner only, when it is disabled.
        """
        address, origin = _address(email), actor().address or UNKNOWN
        await self._refuse_early(address, origin)
        confirmed = await self._database.lookup(_CONFIRMED, address)
        accounts = [confirmed]
        if self._takes_unconfirmed:
            accounts.append(await self._database.lookup(_PENDING, address))
        account = await self._opened(password, accounts)
        if account is None:
            self._throttle.failed(address, origin)
            await note(self._database, Action.LOGIN_FAILED, confirmed["id"] if confirmed else None)
            raise WrongPassword("The e-mail address or the password is wrong")
        self._throttle.succeeded(address, origin)
        if account["disabled"]:
            raise Forbidden("This account is disabled; an admin can enable it again")
        return Opened(account["id"], await self._rehash(account, password))

    async def check_password(self, person: Person, password: str) -> None:
        """See that ``password`` is that of ``person``, who is signed in.

        Raises PasswordMismatch, which is no 401: the sign-in stands; TooManyTries without a look at the password.
        """
        # By sign-in and not by address: nobody but who has this one can use up its tries.
        origin = person.session_id or UNKNOWN
        self._throttle.check_account(person.email, origin)
        account = await self._database.row(
            "SELECT id, password_hash FROM users WHERE id = $1 AND erased_at IS NULL", person.id
        )
        if account is None:
            raise Unauthorized("This account is gone")
        if await self._opened(password, [account]) is None:
            self._throttle.failed(person.email, origin)
            await note(self._database, Action.PASSWORD_FAILED, person.id)
            raise PasswordMismatch("The password is wrong; nothing was changed")
        self._throttle.succeeded(person.email, origin)

    async def _refuse_early(self, address: str, origin: str) -> None:
        self._throttle.check_account(address, origin)
        try:
            self._throttle.check_origin(origin)
        except TooManyTries:
            # Others behind the same address must not lock out who has signed in from there before.
            if await self._database.lookup(_SIGNED_IN_FROM, address, actor().address) is None:
                raise

    async def _opened(self, password: str, accounts: Sequence[Row | None]) -> Row | None:
        """Return the first of ``accounts`` that ``password`` opens; until then all are tried, even those not there."""
        stored = [None if account is None else account["password_hash"] for account in accounts]
        number = await self._passwords.verify_any(password, stored)
        return None if number is None else accounts[number]

    async def _rehash(self, account: Row, password: str) -> str:
        """Return the hash that the account has by now, unless somebody else changed it meanwhile."""
        before = str(account["password_hash"])
        if not self._passwords.needs_rehash(before):
            return before
        renewed = await self._passwords.hash(password)
        await self._database.rows(
            "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
            renewed,
            account["id"],
            before,
        )
        return renewed


def _address(email: str) -> str:
    """Return the address to look for; what is none belongs to nobody, and costs as much."""
    try:
        return normalised(email)
    except Invalid:
        return email.encode("utf-8", "replace").decode().replace("\0", "")[:320]
