"""A server that answers as ours does, with evil texts wherever a text may stand."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from projectw_shared.accounts import Disclosure
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobState
from projectw_shared.messages import JobError, RunnerRef, WaitingFor
from tests.tui.fake_accounts import FakeUser
from tests.tui.fake_server import FakeServer

STRUCTURAL: Final = frozenset(
    {
        *(
            "id",
            "job_id",
            "state",
            "task",
            "next_cursor",
            "signup",
            "token_type",
            "access_token",
            "refresh_token",
        ),
        *("created_at", "started_at", "finished_at", "last_seen", "expires_at", "server_time"),
        *("at", "used_at", "scope"),
    }
)
"""What a client reads as something else than text, or refuses to read. Everything else becomes evil by itself."""

EVERYTHING: Final[dict[str, Any]] = {
    "language": "x",
    "runner": RunnerRef("x", "x", "x"),
    "error": JobError("x", "x"),
    "waiting": WaitingFor("x", "x"),
}
"""All that a job may say, whatever its state."""

CONTROL: Final = "/hostile/"

LONGEST: Final = {"code": 64, "message": 2000}
"""Characters that the contract allows, beyond which a client refuses the answer."""


def poisoned(value: Any, text: str, key: str = "") -> Any:
    """Return ``value`` with every text in it replaced that may be any text."""
    if isinstance(value, dict):
        if key == "settings":
            return {**value, "initial_prompt": text[:2000]}
        return {name: poisoned(each, text, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, text, key) for each in value]
    if isinstance(value, str) and key not in STRUCTURAL:
        return text[: LONGEST.get(key, len(text))]
    return value


class HostileServer(FakeServer):
    """Has a job for each text; what is no job has ``text``."""

    def __init__(self) -> None:
        super().__init__()
        self.text = "nothing evil yet"
        self.refuses = False
        """Whether every request is refused, in evil words."""
        self.named: list[str] = []
        """The texts that a program which drives the one under test can ask for, by ``CONTROL`` and their number."""
        self._texts: dict[str, str] = {}
        self._people()

    def _people(self) -> None:
        """Have one of each of what an account and an admin see."""
        ada = self.accounts.ada
        ada.is_admin, ada.unconfirmed_email, ada.password = True, "x", "a password"
        self.accounts.users.append(FakeUser("x"))
        self.accounts.signup, self.accounts.domains = "open", ["x"]
        self.accounts.add_session()
        self.accounts.add_token()
        self.accounts.disclosures = [Disclosure(new_id(), datetime.now(UTC), new_id(), "x", "x", "x")]
        self.admin.add_runner(cordoned=True, cordon_reason="x", job="x")
        self.admin.add_entry(details={"x": "x"}, object_id="x")

    def fill(self, texts: dict[str, str], state: JobState = JobState.SUCCEEDED) -> dict[str, str]:
        """Make a job for each of ``texts``; return their ids by the texts' names."""
        for job_id in list(self.jobs):
            self.remove(job_id)
        self.named = list(texts.values())
        self.refuses = False
        self._texts = {new_id(): text for text in texts.values()}
        for job_id in self._texts:
            self.add(id=job_id, state=state, duration=3.0, attempts=1, **EVERYTHING)
            self.say(job_id, "one", "two")
        return dict(zip(texts, self._texts, strict=True))

    def _text_of(self, document: Any) -> str:
        return self._texts.get(document.get("id", ""), self.text) if isinstance(document, dict) else self.text

    def poison(self, document: Any) -> Any:
        if isinstance(document, dict) and "jobs" in document:
            return {**document, "jobs": [self.poison(job) for job in document["jobs"]]}
        return poisoned(document, self._text_of(document))

    def _tell(self, name: str, data: bytes, identity: int | None) -> None:
        super()._tell(name, json.dumps(self.poison(json.loads(data))).encode(), identity)

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            self.text = self.named[int(request.path.removeprefix(CONTROL))]
            self.refuses = "refuses" in request.query
            return web.Response()
        if self.refuses and request.path != "/api/events":
            self.requests.append((request.method, request.path))
            problem = {"type": "x", "title": "x", "status": 409, "detail": "x", "code": "x", "next": "x"}
            return web.json_response(poisoned(problem, self._text_in(request)), status=409)
        answer = await super()._middleware(request, handler)
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes) and answer.body:
            if answer.content_type.endswith("json"):
                answer.body = json.dumps(self.poison(json.loads(answer.body)), ensure_ascii=False).encode()
            else:
                answer.body = f"{self._text_in(request)}\n".encode()
            # Every header that may say something does; control characters this library refuses to send.
            for header in ("Content-Disposition", "X-Request-ID", "Server", "Retry-After"):
                answer.headers[header] = "attachment; filename=\u202eEVIL\u009b31m[/nope]"
        return answer

    def _text_in(self, request: web.Request) -> str:
        return self._texts.get(request.match_info.get("id", ""), self.text)

    async def _submit(self, request: web.Request) -> web.Response:
        answer = await super()._submit(request)
        job_id = json.loads(answer.body)["id"]  # type: ignore[arg-type]
        self.change(job_id, state=JobState.SUCCEEDED, progress=1.0, position=None)
        self.say(job_id, "one")
        return answer
