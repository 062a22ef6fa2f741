"""The admins' doors of the stand-in for the server."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from projectw_shared.accounts import AdminJob, AuditEntry, DisclosureWish, NewUser, Owner, Quota, UserChange
from projectw_shared.errors import Conflict, NotFound
from projectw_shared.ids import new_id
from projectw_shared.messages import Job, RunnerInfo

from .fake_accounts import NOTHING, FakeAccounts, FakeUser, as_json


class FakeAdmin:
    """Runners and the audit log; a test changes them by hand."""

    def __init__(self, accounts: FakeAccounts, jobs: dict[str, Job]) -> None:
        self._accounts = accounts
        self._jobs = jobs
        self.runners: list[RunnerInfo] = []
        self.entries: list[AuditEntry] = []
        self.disclosed: list[tuple[str, str]] = []
        """(job, reason) of each transcript that was read."""
        self.transcript = "What was said.\n"

    def add_runner(self, **fields: Any) -> RunnerInfo:
        values: dict[str, Any] = {
            "id": new_id(), "name": "gpu-1", "online": True, "cordoned": False, "draining": False,
            "version": "0.1.0", "engine": "whisper", "device": "cuda:0 (NVIDIA H100)",
            "models": ["base", "large-v3"], "job": None,
            "last_seen": datetime.now(UTC), "created_at": datetime.now(UTC), "cordon_reason": None,
        }  # fmt: skip
        self.runners.append(RunnerInfo(**{**values, **fields}))
        return self.runners[-1]

    def add_entry(self, **fields: Any) -> AuditEntry:
        values: dict[str, Any] = {
            "number": len(self.entries) + 1, "at": datetime.now(UTC), "actor_kind": "user",
            "actor_id": self._accounts.ada.id, "address": "192.0.2.7", "action": "login",
            "object_id": None, "details": {}, "hash": "0" * 64,
        }  # fmt: skip
        self.entries.insert(0, AuditEntry(**{**values, **fields}))
        return self.entries[0]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/admin/users", self._users),
            web.post("/api/admin/users", self._add_user),
            web.patch("/api/admin/users/{id}", self._change_user),
            web.delete("/api/admin/users/{id}", self._delete_user),
            web.get("/api/admin/jobs", self._list_jobs),
            web.post("/api/admin/jobs/{id}/transcript", self._disclose),
            web.get("/api/admin/audit", self._audit),
            web.get("/api/runners", self._list_runners),
            web.post("/api/runners/create", self._create_runner),
            web.delete("/api/runners/{id}", self._revoke_runner),
            web.post("/api/runners/{id}/cordon", self._cordon),
            web.post("/api/runners/{id}/uncordon", self._uncordon),
            web.post("/api/runners/{id}/drain", self._drain),
        ]

    # --- users --------------------------------------------------------------------------------------------

    async def _users(self, request: web.Request) -> web.Response:
        q = request.query.get("q", "").lower()
        found = [user.to_admin() for user in self._accounts.users if q in user.email.lower()]
        return _page(request, "users", found[::-1])

    async def _add_user(self, request: web.Request) -> web.Response:
        wish = msgspec.json.decode(await request.read(), type=NewUser)
        if any(user.email == wish.email for user in self._accounts.users):
            raise Conflict("There is an account with this address already.")
        self._accounts.users.append(FakeUser(wish.email, wish.password, wish.is_admin))
        return as_json(self._accounts.users[-1].to_admin(), status=201)

    def _user(self, request: web.Request) -> FakeUser:
        for user in self._accounts.users:
            if user.id == request.match_info["id"]:
                return user
        raise NotFound("There is no such account.")

    async def _change_user(self, request: web.Request) -> web.Response:
        user = self._user(request)
        change = msgspec.json.decode(await request.read(), type=UserChange)
        if isinstance(change.disabled, bool):
            user.disabled = change.disabled
        if isinstance(change.is_admin, bool):
            user.is_admin = change.is_admin
        if isinstance(change.new_password, str):
            user.password = change.new_password
        if change.quota is not msgspec.UNSET:
            user.has_own_quota = change.quota is not None
            user.quota = change.quota if isinstance(change.quota, Quota) else Quota()
        return as_json(user.to_admin())

    async def _delete_user(self, request: web.Request) -> web.Response:
        self._accounts.users.remove(self._user(request))
        return NOTHING(status=204)

    # --- jobs and the log ---------------------------------------------------------------------------------

    async def _list_jobs(self, request: web.Request) -> web.Response:
        state, q = request.query.get("state"), request.query.get("q", "")
        ada = self._accounts.ada
        found = [
            AdminJob(
                job.id, Owner(ada.id, ada.email), job.file_name, job.bytes, job.duration, job.state,
                job.cancel_requested, job.settings, job.language, job.runner, job.attempts, job.error,
                job.created_at, job.started_at, job.finished_at,
            )
            for job in self._jobs.values()
            if (state is None or job.state == state) and q in job.file_name
        ]  # fmt: skip
        return _page(request, "jobs", found[::-1])

    async def _disclose(self, request: web.Request) -> web.Response:
        wish = msgspec.json.decode(await request.read(), type=DisclosureWish)
        self.disclosed.append((request.match_info["id"], wish.reason))
        return web.Response(text=self.transcript)

    async def _audit(self, request: web.Request) -> web.Response:
        action = request.query.get("action")
        found = [entry for entry in self.entries if action in (None, entry.action)]
        return _page(request, "entries", found)

    # --- runners ------------------------------------------------------------------------------------------

    async def _list_runners(self, _request: web.Request) -> web.Response:
        return as_json({"runners": self.runners})

    async def _create_runner(self, request: web.Request) -> web.Response:
        made = self.add_runner(name=(await request.json())["name"], online=False, last_seen=None, models=[])
        return as_json({"id": made.id, "name": made.name, "token": "pwr_the-token"}, status=201)

    def _change(self, request: web.Request, **fields: Any) -> web.Response:
        for n, runner in enumerate(self.runners):
            if runner.id == request.match_info["id"]:
                self.runners[n] = msgspec.structs.replace(runner, **fields)
                return as_json(self.runners[n])
        raise NotFound("There is no such runner.")

    async def _cordon(self, request: web.Request) -> web.Response:
        return self._change(request, cordoned=True)

    async def _uncordon(self, request: web.Request) -> web.Response:
        return self._change(request, cordoned=False, cordon_reason=None)

    async def _drain(self, request: web.Request) -> web.Response:
        return self._change(request, draining=True)

    async def _revoke_runner(self, request: web.Request) -> web.Response:
        self._change(request)
        self.runners = [runner for runner in self.runners if runner.id != request.match_info["id"]]
        return NOTHING(status=204)


def _page(request: web.Request, name: str, found: list[Any]) -> web.Response:
    start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 50))
    more = str(start + limit) if start + limit < len(found) else None
    return as_json({name: found[start : start + limit], "next_cursor": more})
