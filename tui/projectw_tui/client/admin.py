"""The calls that only admins may make."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from projectw_shared import routes
from projectw_shared.accounts import (
    AdminJobList,
    AdminUser,
    AdminUserList,
    AuditList,
    DisclosureWish,
    NewUser,
    UserChange,
)
from projectw_shared.http import Api
from projectw_shared.jobs import JobState
from projectw_shared.messages import CreatedRunner, NewRunner, RunnerInfo, RunnerList
from projectw_tui.client.paths import path_of

PIECE = 64 * 1024


class Administration:
    """What an admin asks. Every method raises Forbidden for anybody else."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # --- users --------------------------------------------------------------------------------------------

    async def users(
        self, *, q: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> AdminUserList:
        """Return one page of accounts, newest first; ``q`` is a part of an address."""
        query = {"q": q or None, "limit": limit, "cursor": cursor}
        return await self._api.call("GET", routes.ADMIN_USERS, reply=AdminUserList, query=query)

    async def add_user(self, email: str, password: str, *, is_admin: bool = False) -> AdminUser:
        """Make an account, which needs no confirmation."""
        wish = NewUser(email, password, is_admin)
        return await self._api.call("POST", routes.ADMIN_USERS, body=wish, reply=AdminUser)

    async def change_user(self, user_id: str, change: UserChange) -> AdminUser:
        """Change an account."""
        path = path_of(routes.ADMIN_USER, user_id, "user")
        return await self._api.call("PATCH", path, body=change, reply=AdminUser)

    async def delete_user(self, user_id: str) -> None:
        """Delete an account with all that it owns."""
        path = path_of(routes.ADMIN_USER, user_id, "user")
        await self._api.call("DELETE", path, reply=type(None))

    # --- runners ------------------------------------------------------------------------------------------

    async def runners(self) -> list[RunnerInfo]:
        """Return every runner."""
        return (await self._api.call("GET", routes.RUNNERS, reply=RunnerList)).runners

    async def create_runner(self, name: str) -> CreatedRunner:
        """Make a runner; its token is in the answer and never again."""
        return await self._api.call("POST", routes.RUNNER_CREATE, body=NewRunner(name), reply=CreatedRunner)

    async def cordon(self, runner_id: str) -> None:
        """Give a runner no new jobs."""
        await self._tell(routes.RUNNER_CORDON, runner_id)

    async def uncordon(self, runner_id: str) -> None:
        """Give a runner jobs again."""
        await self._tell(routes.RUNNER_UNCORDON, runner_id)

    async def drain(self, runner_id: str) -> None:
        """Let a runner finish what it holds, and end."""
        await self._tell(routes.RUNNER_DRAIN, runner_id)

    async def revoke_runner(self, runner_id: str) -> None:
        """Delete a runner; its token opens nothing from then on, what it holds is queued again."""
        await self._api.call("DELETE", path_of(routes.RUNNER, runner_id, "runner"), reply=type(None))

    async def _tell(self, route: str, runner_id: str) -> None:
        path = path_of(route, runner_id, "runner")
        await self._api.call("POST", path, reply=type(None), repeatable=True)

    # --- what has been done -------------------------------------------------------------------------------

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        q: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AdminJobList:
        """Return one page of everybody's jobs, newest first: what they are, never what they say."""
        query = {"state": state, "q": q or None, "limit": limit, "cursor": cursor}
        return await self._api.call("GET", routes.ADMIN_JOBS, reply=AdminJobList, query=query)

    async def audit(
        self, *, action: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> AuditList:
        """Return one page of the audit log, newest first."""
        query = {"action": action or None, "limit": limit, "cursor": cursor}
        return await self._api.call("GET", routes.ADMIN_AUDIT, reply=AuditList, query=query)

    @asynccontextmanager
    async def disclose(self, job_id: str, wish: DisclosureWish) -> AsyncIterator[AsyncIterator[bytes]]:
        """Hold open somebody's transcript, to be read piece by piece; its owner is told who read it and why."""
        async with self._api.open(
            "POST",
            path_of(routes.ADMIN_JOB_TRANSCRIPT, job_id),
            data=msgspec.json.encode(wish),
            headers={"Content-Type": "application/json"},
            timeout=None,
            idle_timeout=60,
        ) as response:
            yield response.content.iter_chunked(PIECE)
