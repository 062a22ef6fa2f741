"""Signing up, confirming an address, setting a forgotten password: whoever reads the mail of an address owns it.

An account is unconfirmed at first: its own id stands where the address will, so several may have signed up with one
address, or with one that is taken, and nobody learns of it. What was asked for an address goes into the outbox
without a look at who has it; the mail room decides.
"""

import time
from collections.abc import Awaitable, Callable

from projectw_server.accounts.acting import actor
from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.codes import digest
from projectw_server.accounts.domains import may_sign_up
from projectw_server.accounts.mail.budgets import Budget
from projectw_server.accounts.mail.due import Due
from projectw_server.accounts.mail.purposes import DAY, HOUR
from projectw_server.accounts.outbox import Purpose, post
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.sessions import end_sessions
from projectw_server.accounts.strength import Strength
from projectw_server.accounts.users import normalised
from projectw_server.db import Database, Duplicate, Row, Transaction
from projectw_server.settings import ServerSettings
from projectw_server.sources import source_of
from projectw_shared.addresses import is_loopback
from projectw_shared.errors import Conflict, NotOpen, TooManyRequests, WrongToken
from projectw_shared.ids import new_id

MOST_PENDING = 3
"""Accounts that wait to confirm the same address; a further one takes the place of the oldest, so that nobody can
keep an address from its owner by signing up with it."""

PENDING_SECONDS = DAY
PENDING_EVERY = 600.0

WISHES_AN_HOUR = 60
"""Sign-ups and resets, each, from one address of the network; a school's may be behind one."""

CHANGES_AN_HOUR = 5
"""New addresses that a person may ask a code for: each is a mail to somebody."""

_TAKE = """
    UPDATE users SET email = $1, unconfirmed_email = NULL
    WHERE id = $2 AND unconfirmed_email = $1 AND erased_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM users other WHERE other.email = $1)
"""
"""Lets an account have the address that it waits to confirm, unless another has it."""

_PRESS_OUT = f"""
    DELETE FROM users WHERE email = id AND unconfirmed_email = $1
      AND id NOT IN (
        SELECT id FROM users WHERE email = id AND unconfirmed_email = $1 ORDER BY id DESC LIMIT {MOST_PENDING}
      )
      AND NOT EXISTS (
        SELECT 1 FROM mail_tokens t WHERE t.user_id = users.id AND t.purpose = 'reset' AND t.expires_at > $2
      )
"""  # noqa: S608  a constant
"""One with a code for a reset stays: it was asked for by mail, and signing up must not undo that."""


class Confirming:
    """What strangers may ask for, and what the codes that they are sent let them do."""

    def __init__(
        self,
        database: Database,
        settings: ServerSettings,
        passwords: Passwords,
        strength: Strength,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._is_open = settings.signup == "open"
        self._domains = settings.allowed_email_domains
        self._passwords = passwords
        self._strength = strength
        self._due = Due(database, now=now)
        self._now = now
        self._sign_ups = Budget(WISHES_AN_HOUR, HOUR)
        self._resets = Budget(WISHES_AN_HOUR, HOUR)
        self._changes = Budget(CHANGES_AN_HOUR, HOUR)

    async def sign_up(self, email: str, password: str) -> None:
        """Make an account that waits for its address to be confirmed, and have a code sent there.

        Alike for every address. Raises NotOpen, Invalid, WeakPassword and TooManyRequests.
        """
        if not self._is_open:
            raise NotOpen("Accounts are made by the people who run this server; ask them for one")
        email = normalised(email)
        if not may_sign_up(email, self._domains):
            raise NotOpen(f"Addresses of {', '.join(self._domains)} may sign up here, and no others")
        _spend_here(self._sign_ups)
        await self._strength.check(password, email)
        user_id, password_hash, now = new_id(), await self._passwords.hash(password), self._now()

        async def work(transaction: Transaction) -> None:
            await transaction.rows(
                "INSERT INTO users (id, email, unconfirmed_email, password_hash, is_admin, disabled, created_at)"
                " VALUES ($1, $1, $2, $3, FALSE, FALSE, $4)",
                user_id,
                email,
                password_hash,
                now,
            )
            await transaction.rows(_PRESS_OUT, email, now)
            await note(transaction, Action.SIGNED_UP, user_id)
            await post(transaction, Purpose.CONFIRM, email, user_id)

        await self._database.transaction(work)

    async def resend(self, person: Person) -> None:
        """Have a new code sent to the address that ``person`` has to confirm; Conflict when there is none."""
        if person.unconfirmed_email is None:
            raise Conflict("There is no address that waits to be confirmed")
        _spend(self._changes, person.id)
        purpose = Purpose.NEW_ADDRESS if person.confirmed else Purpose.CONFIRM
        await post(self._database, purpose, person.unconfirmed_email, person.id)

    def check_change(self, person: Person, new_email: str) -> None:
        """See that ``person`` may ask for a code for another address.

        Raises Invalid, NotOpen where only addresses of some domains sign up, and TooManyRequests.
        """
        if not may_sign_up(normalised(new_email), self._domains):
            raise NotOpen(f"Addresses of {', '.join(self._domains)} are taken here, and no others")
        _spend(self._changes, person.id)

    async def ask_reset(self, email: str) -> None:
        """Have a code sent with which the password can be set, if there is an account; alike for every address."""
        email = normalised(email)
        _spend_here(self._resets)
        await post(self._database, Purpose.RESET, email)

    async def activate(self, code: str, session_id: str | None = None) -> None:
        """Confirm the address that ``code`` was sent to. Raises WrongToken, whatever is wrong.

        A change of address ends every sign-in of the account but ``session_id``; API tokens stay.
        """
        await self._known(code, Purpose.CONFIRM, Purpose.NEW_ADDRESS)

        async def work(transaction: Transaction) -> bool:
            token = await self._use(transaction, code, Purpose.CONFIRM, Purpose.NEW_ADDRESS)
            if token is None:
                return False
            if token["purpose"] == Purpose.CONFIRM:
                return await self._confirm(transaction, token["user_id"], token["email"])
            return await self._swap(transaction, token["user_id"], token["email"], session_id)

        await self._decide(work)

    async def reset(self, code: str, new_password: str) -> None:
        """Set a new password by ``code``, and end every sign-in and every API token of the account.

        An address that was not confirmed is so thereby. Raises WrongToken, whatever is wrong with the code, and
        then without a look at the password; Invalid and WeakPassword, and then the code can be used again.
        """
        email = await self._known(code, Purpose.RESET)
        await self._strength.check(new_password, email)
        password_hash = await self._passwords.hash(new_password)

        async def work(transaction: Transaction) -> bool:
            token = await self._use(transaction, code, Purpose.RESET)
            if token is None:
                return False
            user_id, email = token["user_id"], token["email"]
            found = await transaction.row(
                "UPDATE users SET password_hash = $1 WHERE id = $2 AND erased_at IS NULL"
                " AND (email = $3 OR (email = id AND unconfirmed_email = $3)) RETURNING email",
                password_hash,
                user_id,
                email,
            )
            if found is None:
                return False
            if found["email"] == user_id and not await self._confirm(transaction, user_id, email):
                raise WrongToken  # so that the password, too, stays as it was
            await end_sessions(transaction, user_id)
            for table in ("api_tokens", "mail_tokens"):
                await transaction.rows(f"DELETE FROM {table} WHERE user_id = $1", user_id)  # noqa: S608  a constant
            await note(transaction, Action.PASSWORD_RESET, user_id)
            await post(transaction, Purpose.CHANGED_PASSWORD, email, user_id)
            return True

        await self._decide(work)

    async def forget_old(self) -> None:
        """Remove the accounts that nobody confirmed, the codes that ran out, and the mails that nobody waits for."""
        now = self._now()
        await self._database.rows(
            "DELETE FROM users WHERE unconfirmed_email IS NOT NULL AND email = id AND created_at <= $1",
            now - PENDING_SECONDS,
        )
        await self._database.rows("DELETE FROM mail_tokens WHERE expires_at <= $1", now)
        await self._due.forget_old()

    async def _known(self, code: str, *purposes: Purpose) -> str:
        """Return the address that ``code`` was sent to; WrongToken, after the same time, whatever is wrong with it."""
        row = await self._database.lookup(
            "SELECT email FROM mail_tokens WHERE token_hash = $1 AND purpose IN ($2, $3) AND expires_at > $4",
            digest(code),
            purposes[0].value,
            purposes[-1].value,
            self._now(),
        )
        if row is None:
            raise WrongToken
        return str(row["email"])

    async def _use(self, transaction: Transaction, code: str, *purposes: Purpose) -> Row | None:
        """Use up ``code``, and return what it is for unless it was used or has run out meanwhile."""
        return await transaction.row(
            "DELETE FROM mail_tokens WHERE token_hash = $1 AND purpose IN ($2, $3) AND expires_at > $4"
            " RETURNING user_id, purpose, email",
            digest(code),
            purposes[0].value,
            purposes[-1].value,
            self._now(),
        )

    async def _confirm(self, transaction: Transaction, user_id: str, email: str) -> bool:
        if await transaction.row(f"{_TAKE} AND email = id RETURNING id", email, user_id) is None:
            return False
        await self._settle(transaction, user_id, email)
        return True

    async def _swap(self, transaction: Transaction, user_id: str, email: str, session_id: str | None) -> bool:
        before = await transaction.row("SELECT email FROM users WHERE id = $1 FOR UPDATE", user_id)
        found = await transaction.row(f"{_TAKE} AND email <> id RETURNING id", email, user_id)
        if found is None or before is None:
            return False
        await end_sessions(transaction, user_id, but=session_id)
        # A code that went to the address of before must open nothing any more.
        await transaction.rows("DELETE FROM mail_tokens WHERE user_id = $1", user_id)
        await post(transaction, Purpose.CHANGED_ADDRESS, before["email"], user_id)
        await self._settle(transaction, user_id, email)
        return True

    async def _settle(self, transaction: Transaction, user_id: str, email: str) -> None:
        """The address has its owner: whoever else waited for it waits in vain."""
        await transaction.rows(
            "DELETE FROM users WHERE email = id AND unconfirmed_email = $1 AND id <> $2", email, user_id
        )
        await transaction.rows(
            "UPDATE users SET unconfirmed_email = NULL WHERE unconfirmed_email = $1 AND id <> $2",
            email,
            user_id,
        )
        await note(transaction, Action.CONFIRMED, user_id)

    async def _decide(self, work: Callable[[Transaction], Awaitable[bool]]) -> None:
        try:
            is_done = await self._database.transaction(work)
        except Duplicate:  # somebody else has confirmed the address at this very moment
            is_done = False
        if not is_done:
            raise WrongToken


def _spend_here(budget: Budget) -> None:
    """Count a wish of the present caller's address, unless all the world may be behind that."""
    address = actor().address
    if address is not None and not is_loopback(address):
        _spend(budget, source_of(address))


def _spend(budget: Budget, key: str) -> None:
    if wait := budget.spend(key):
        raise TooManyRequests(
            "That was asked for too often; try again later", retry_after=max(1, round(wait))
        )
