"""What people change of their own accounts, and admins of those of others."""

from typing import Any

import msgspec
from msgspec import UNSET

from projectw_server.accounts.audit import Action, note
from projectw_server.accounts.outbox import Purpose, post
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.sessions import check_signed_in, end_sessions
from projectw_server.accounts.strength import Strength
from projectw_server.accounts.users import ONLY_ADMIN, lock_user, normalised
from projectw_server.db import Database, Row, Transaction
from projectw_shared.accounts import UserChange
from projectw_shared.errors import Conflict
from projectw_shared.jobs import JobSettings


class Changes:
    """Changes accounts; each change that lets somebody else in, or keeps him out, ends the sign-ins before it."""

    def __init__(self, database: Database, passwords: Passwords, strength: Strength) -> None:
        self._database = database
        self._passwords = passwords
        self._strength = strength

    async def check_strength(self, password: str, email: str = "") -> None:
        """Raise WeakPassword for one that would be guessed, by whom it is for or by others."""
        await self._strength.check(password, email)

    async def password(self, person: Person, new_password: str) -> None:
        """Give ``person``, whose present password was checked, another; every other sign-in ends.

        Raises Invalid and WeakPassword.
        """
        await self.check_strength(new_password, person.email)
        hashed = await self._passwords.hash(new_password)

        async def work(transaction: Transaction) -> None:
            await check_signed_in(transaction, person)
            await _set_password(transaction, person.id, hashed)
            await end_sessions(transaction, person.id, but=person.session_id)
            await note(transaction, Action.PASSWORD_CHANGED, person.id)
            await post(transaction, Purpose.CHANGED_PASSWORD, person.email, person.id)

        await self._database.transaction(work)

    async def email(self, person: Person, new_email: str) -> None:
        """Let ``new_email`` become the address of ``person`` once the code that is sent there was entered.

        Whether that is somebody's already is not told, nor looked at, here.
        """
        address = normalised(new_email)

        async def work(transaction: Transaction) -> None:
            await check_signed_in(transaction, person)
            await transaction.rows(
                "UPDATE users SET unconfirmed_email = $1 WHERE id = $2", address, person.id
            )
            await transaction.rows("DELETE FROM mail_tokens WHERE user_id = $1", person.id)
            await note(transaction, Action.EMAIL_ASKED, person.id)
            purpose = Purpose.NEW_ADDRESS if person.confirmed else Purpose.CONFIRM
            await post(transaction, purpose, address, person.id)

        await self._database.transaction(work)

    async def defaults(self, person: Person) -> JobSettings:
        """Return the job settings that ``person`` begins with."""
        row = await self._database.lookup("SELECT job_defaults FROM users WHERE id = $1", person.id)
        if row is None or row["job_defaults"] is None:
            return JobSettings()
        return msgspec.json.decode(row["job_defaults"], type=JobSettings)

    async def set_defaults(self, person: Person, settings: JobSettings) -> JobSettings:
        """Let ``person`` begin with ``settings`` from now on."""
        await self._database.rows(
            "UPDATE users SET job_defaults = $1 WHERE id = $2",
            msgspec.json.encode(settings).decode(),
            person.id,
        )
        return settings

    async def of_user(self, user_id: str, change: UserChange) -> None:
        """Change somebody's account as an admin.

        Raises NotFound, Conflict for what would shut the last admin out, Invalid and WeakPassword.
        """
        hashed = None
        if change.new_password is not UNSET:
            await self.check_strength(change.new_password)
            hashed = await self._passwords.hash(change.new_password)

        async def work(transaction: Transaction) -> None:
            row, is_only_admin = await lock_user(transaction, user_id)
            if change.is_admin is True and row["email"] == row["id"]:
                # Who signed up with the address need not be whom the admin means, and may vanish.
                raise Conflict("This account has not confirmed its address; until then it can be no admin")
            if is_only_admin and (change.disabled is True or change.is_admin is False):
                raise Conflict(ONLY_ADMIN)
            await self._apply(transaction, row, change, hashed)

        await self._database.transaction(work)

    @staticmethod
    async def _apply(transaction: Transaction, row: Row, change: UserChange, hashed: str | None) -> None:
        noted: dict[str, Any] = {}
        if change.disabled is not UNSET:
            noted["disabled"] = change.disabled
            await transaction.rows("UPDATE users SET disabled = $1 WHERE id = $2", change.disabled, row["id"])
        if change.is_admin is not UNSET:
            noted["is_admin"] = change.is_admin
            await transaction.rows("UPDATE users SET is_admin = $1 WHERE id = $2", change.is_admin, row["id"])
        if change.quota is not UNSET:
            noted["quota"] = None if change.quota is None else msgspec.to_builtins(change.quota)
            stored = None if change.quota is None else msgspec.json.encode(change.quota).decode()
            await transaction.rows("UPDATE users SET quota = $1 WHERE id = $2", stored, row["id"])
        if hashed is not None:
            noted["has_new_password"] = True
            await _set_password(transaction, row["id"], hashed)
            await transaction.rows("DELETE FROM api_tokens WHERE user_id = $1", row["id"])
            if row["email"] != row["id"]:
                await post(transaction, Purpose.CHANGED_PASSWORD, row["email"], row["id"])
        if hashed is not None or change.disabled is True:
            await end_sessions(transaction, row["id"])
        await note(transaction, Action.USER_CHANGED, row["id"], **noted)


async def _set_password(transaction: Transaction, user_id: str, hashed: str) -> None:
    await transaction.rows("UPDATE users SET password_hash = $1 WHERE id = $2", hashed, user_id)
    # A code that was sent before could undo it.
    await transaction.rows("DELETE FROM mail_tokens WHERE user_id = $1", user_id)
