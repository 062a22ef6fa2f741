"""Schemathesis against a real server: whatever it sends, there is no 500 and no answer outside the document.

It reads the OpenAPI document, makes requests that fit it and requests that do not, and compares each answer's status,
media type, headers and body with what the document says. It comes as nobody, as a user, as an admin and as a runner,
with the credential of each.
"""

import json
import re
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.installation import Installation
from deploy.programs import SCRIPTS
from projectw_shared import routes
from tests.journeys.world import EMAIL, PASSWORD, write_sound

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "ignored_auth",
)

# A stream without an end; and what ends the caller's own credential, or somebody's whose turn is still to come. These
# have tests of their own.
LEFT_OUT = (
    routes.EVENTS,
    routes.LOGOUT,
    routes.LOGOUT_ALL,
    routes.SESSION,
)

SETTINGS = {
    # Otherwise most answers would be 429.
    "login_attempts_per_minute": 1_000_000,
    "signup": "open",
    "admins_may_read": True,
    "quota_jobs": 10_000,
}

LONGEST_ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Caller:
    """Somebody who explores: under a name, with a token or none."""

    name: str
    token: str | None


@dataclass(frozen=True)
class Found:
    """What one caller's exploration came to."""

    caller: str
    requests: int
    failed: bool
    report: str


class Exploration:
    """A server with something in it, and those who explore it."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder, server=SETTINGS)
        self._runner_token = ""

    def begin(self) -> None:
        """Start the server, with two people and jobs of theirs."""
        self.installation.add_user(EMAIL, PASSWORD, admin=True)
        self.installation.add_user("bob@example.org", PASSWORD)
        self._runner_token = self.installation.add_runner("explorer")
        self.installation.serve()
        sound = write_sound(self.installation.folder / "talk.wav", 1.0)
        for token in (self._signed_in(EMAIL), self._signed_in("bob@example.org")):
            for _ in range(2):
                self._call(
                    "POST", f"{routes.JOBS}?file_name=talk.wav", token, sound.read_bytes(), "audio/wav"
                )

    def close(self) -> None:
        """End it."""
        self.installation.close()

    def callers(self) -> list[Caller]:
        """Return everybody, with credentials that are good now."""
        admin, user = self._signed_in(EMAIL), self._signed_in("bob@example.org")
        made = {
            scope: json.loads(
                self._call("POST", routes.TOKENS, admin, json.dumps({"name": scope, "scope": scope}).encode())
            )
            for scope in ("read", "write")
        }
        return [
            Caller("nobody", None),
            Caller("user", user),
            Caller("admin", admin),
            Caller("admin's reading token", made["read"]["token"]),
            Caller("admin's writing token", made["write"]["token"]),
            Caller("runner", self._runner_token),
        ]

    def explore(self, caller: Caller, *, examples: int, seconds: float, seed: int) -> Found:
        """Let ``caller`` send up to ``examples`` requests a route and kind, for up to ``seconds``."""
        words = [
            str(SCRIPTS / "schemathesis"),
            "run",
            f"{self.installation.url}{routes.OPENAPI}",
            f"--checks={','.join(CHECKS)}",
            f"--max-examples={examples}",
            f"--max-time={seconds:g}",
            f"--seed={seed}",
            f"--request-timeout={LONGEST_ANSWER_SECONDS}",
            "--continue-on-failure",
            "--generation-database=none",
            "--no-color",
            *(f"--exclude-path={path}" for path in LEFT_OUT),
        ]
        if caller.token is not None:
            words.append(f"--header=Authorization: Bearer {caller.token}")
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            cwd=self.installation.folder,
            timeout=seconds * 3 + 120,
            check=False,
        )
        self.installation.programs[0].expect_running()
        count = re.search(r"(\d+) generated", done.stdout)
        return Found(
            caller.name, int(count[1]) if count else 0, done.returncode != 0, done.stdout + done.stderr
        )

    def is_good(self, caller: Caller) -> bool:
        """Tell whether the caller's credential still is: one that had ended would have explored nothing."""
        if caller.token is None or caller.name == "runner":
            return True
        return bool(self._call("GET", routes.ME, caller.token))

    def _signed_in(self, email: str) -> str:
        body = json.dumps({"email": email, "password": PASSWORD}).encode()
        return str(json.loads(self._call("POST", routes.LOGIN, None, body))["access_token"])

    def _call(
        self,
        method: str,
        path: str,
        token: str | None,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> bytes:
        headers = {"Content-Type": kind} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        request = urllib.request.Request(self.installation.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=LONGEST_ANSWER_SECONDS) as answer:
            found: bytes = answer.read()
        return found
