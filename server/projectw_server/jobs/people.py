"""The accounts, with what each uses: to their owners, and to admins."""

from projectw_server.accounts.principals import Person
from projectw_server.accounts.users import caller_of
from projectw_server.clock import moment
from projectw_server.db import Conditions, Database, Row
from projectw_server.jobs.paging import containing, cursor_at, position_of
from projectw_server.jobs.quotas import Quotas
from projectw_shared.accounts import AdminUser, AdminUserList, User
from projectw_shared.errors import NotFound


class People:
    """Reads accounts."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    async def of(self, person: Person) -> User:
        """Return the account of ``person``, to its owner."""
        row = await self._database.lookup("SELECT quota FROM users WHERE id = $1", person.id)
        created_at = moment(person.created_at)
        assert created_at is not None, "an account has a beginning"
        return User(
            person.id,
            person.email,
            person.is_admin,
            created_at,
            person.confirmed,
            person.unconfirmed_email,
            self._quotas.of(row["quota"] if row else None),
            await self._quotas.usage(self._database, person.id),
        )

    async def get(self, user_id: str) -> AdminUser:
        """Return an account, to an admin; NotFound when there is none."""
        row = await self._database.row("SELECT * FROM users WHERE id = $1 AND erased_at IS NULL", user_id)
        if row is None:
            raise NotFound("There is no such user")
        return await self._shown(row)

    async def page(self, *, text: str | None, limit: int, cursor: str | None) -> AdminUserList:
        """Return accounts, the newest first, whose address contains ``text``, or whose id it is."""
        wanted = Conditions()
        wanted.add("erased_at IS NULL")
        if cursor is not None:
            wanted.add("id < {}", position_of(cursor))
        if text:
            lowered = text.strip().lower()  # as addresses and ids are stored
            like = containing(lowered)
            wanted.add(
                "(email LIKE {} ESCAPE '\\' OR unconfirmed_email LIKE {} ESCAPE '\\' OR id = {})",
                like,
                like,
                lowered,
            )
        rows = await self._database.rows(
            f"SELECT * FROM users WHERE {wanted} ORDER BY id DESC LIMIT {limit + 1}",  # noqa: S608  conditions and a number of ours
            *wanted.values,
        )
        page = rows[:limit]
        return AdminUserList(
            [await self._shown(row) for row in page], cursor_at(page[-1]["id"]) if len(rows) > limit else None
        )

    async def _shown(self, row: Row) -> AdminUser:
        person, created_at = caller_of(row), moment(row["created_at"])
        assert created_at is not None, "an account has a beginning"
        return AdminUser(
            id=person.id,
            email=person.email,
            is_admin=person.is_admin,
            disabled=person.disabled,
            confirmed=person.confirmed,
            created_at=created_at,
            quota=self._quotas.of(row["quota"]),
            has_own_quota=row["quota"] is not None,
            usage=await self._quotas.usage(self._database, person.id),
        )
