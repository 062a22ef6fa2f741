"""Secrets and what people said, planted in an installation with all its troubles: found in no log and no crash."""

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from deploy.installation import Installation
from projectw_shared import routes
from tests.hostile.echoing_mail import MailServer, mail_server
from tests.hostile.faults.sitecustomize import BOOM
from tests.hostile.planted import Planted
from tests.journeys.world import write_sound

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

EMAIL = "ada@example.org"
DATABASE = frozenset({"projectw.sqlite3", "projectw.sqlite3-wal"})
OUR_CONFIGURATION = frozenset({"server.yaml", "first.yaml"})


class House:
    """An installation at log level debug, its planted secrets, and a person who does all that can go wrong."""

    def __init__(self, folder: Path, log_format: str, mail: MailServer) -> None:
        self.mail = mail
        self.planted = Planted()
        plant = self.planted.make
        self.password = plant("password")
        self.text = plant("text: the prompt, which the fake engine repeats", kept_in=DATABASE)
        self.name = plant("file name", kept_in=DATABASE) + ".wav"
        self.metrics = plant("metrics token", kept_in=OUR_CONFIGURATION)
        self.folder = folder
        self.installation = Installation(
            folder,
            server={
                "log_level": "debug",
                "log_format": log_format,
                "metrics_token": self.metrics,
                "signing_key": plant("signing key", kept_in=OUR_CONFIGURATION),
                "signup": "open",
                "smtp_host": "127.0.0.1",
                "smtp_port": mail.port,
                "smtp_security": "plain",
                "smtp_user": "projectw",
                "smtp_password": plant("mail server's password", kept_in=OUR_CONFIGURATION),
                "mail_from": "projectw@example.org",
                "lease_seconds": 4,
                "heartbeat_seconds": 1,
            },
        )
        self.installation.add_user(EMAIL, self.password, admin=True)
        self.runner_token = self.planted.add(
            "runner token", self.installation.add_runner("first"), kept_in=OUR_CONFIGURATION
        )
        self.server = self.installation.serve()
        self.access = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send a request, and return status and body of whatever came."""
        request = urllib.request.Request(self.installation.url + path, body, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for header, value in {"Content-Type": "application/json", **headers}.items():
            request.add_header(header.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def post(self, path: str, bearer: str | None = None, /, **body: Any) -> tuple[int, Any]:
        status, answer = self.ask("POST", path, json.dumps(body).encode(), token=bearer)
        return status, json.loads(answer) if answer else None

    def sign_in(self) -> dict[str, Any]:
        status, tokens = self.post(routes.LOGIN, email=EMAIL, password=self.password)
        assert status == 200, tokens
        self.planted.add("access token", tokens["access_token"])
        self.planted.add("refresh token", tokens["refresh_token"])
        self.access = tokens["access_token"]
        return dict(tokens)

    def submit(self, sound: bytes, prompt: str) -> str:
        query = urlencode({"file_name": self.name, "settings": json.dumps({"initial_prompt": prompt})})
        status, answer = self.ask(
            "POST",
            f"{routes.JOBS}?{query}",
            sound,
            token=self.access,
            Content_Type="application/octet-stream",
        )
        assert status == 201, answer
        return str(json.loads(answer)["id"])

    def until_over(self, job_id: str) -> str:
        def look() -> str | None:
            _, answer = self.ask("GET", routes.JOB.format(id=job_id), token=self.access)
            state = str(json.loads(answer)["state"])
            return state if state in ("succeeded", "failed", "cancelled") else None

        return self.server.until(look, "end the job", timeout=90)


@pytest.fixture(params=["text", "json"])
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "faults"))
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    # What an object is like when it is thrown away: unawaited, unclosed.
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    with mail_server() as mail:
        found = House(tmp_path, request.param, mail)
        try:
            yield found
        finally:
            found.installation.close()


def test_secrets_and_words_are_told_to_no_log_whatever_goes_wrong(house: House, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.wav", 12).read_bytes()
    tokens = house.sign_in()
    wrong = house.planted.make("wrong password")
    forgot = f"{BOOM}{house.planted.make('password that meets a fault')}"

    # Sign-ins that fail, in every way.
    assert house.post(routes.LOGIN, email=EMAIL, password=wrong)[0] == 401
    assert house.post(routes.LOGIN, email=EMAIL, password=forgot)[0] == 500
    assert house.post(routes.LOGIN, email=EMAIL, password=wrong, unknown=wrong)[0] == 422
    assert house.post(routes.LOGIN, email=EMAIL, password=[wrong])[0] == 422
    for body in (f'{{"password": "{wrong}"', f'"{wrong}"', f'{{"email": "{wrong}\\ud800", "password": 1}}'):
        assert house.ask("POST", routes.LOGIN, body.encode())[0] in (400, 422)
    assert house.ask("POST", routes.LOGIN, wrong.encode(), Content_Type=f"text/{wrong}")[0] in (400, 415, 422)
    house.ask(
        "POST",
        routes.LOGIN,
        urlencode({"password": wrong}).encode(),
        Content_Type="application/x-www-form-urlencoded",
    )

    # Tokens where they do not belong.
    for token in (tokens["access_token"], tokens["refresh_token"], house.runner_token, house.metrics):
        assert house.ask("GET", f"{routes.ME}?token={token}&access_token={token}")[0] in (401, 422)
        for header in (f"Basic {token}", token, f"Bearer {token}x", f"Bearer {token} {token}"):
            assert house.ask("GET", routes.ME, Authorization=header)[0] == 401
        house.ask("GET", routes.ME, Cookie=f"session={token}")
    for token in (tokens["access_token"], house.runner_token):
        house.ask("GET", routes.ME, X_Request_ID=token)
    assert house.ask("GET", routes.METRICS, token=house.metrics)[0] == 200
    assert house.post(routes.REFRESH, refresh_token=tokens["refresh_token"])[0] == 500, (
        "a fault was put there"
    )

    # API tokens.
    status, made = house.post(routes.TOKENS, house.access, name="script", scope="write")
    assert status in (200, 201), made
    api_token = house.planted.add("API token", made["token"])
    assert house.ask("GET", routes.JOBS, token=api_token)[0] == 500, "a fault was put there"
    assert house.ask("GET", routes.JOBS, token=api_token)[0] == 200

    # Codes, by mail and from the operator.
    newcomer = {"email": "new@example.org", "password": house.planted.make("password of a newcomer")}
    assert house.post(routes.SIGNUP, **newcomer)[0] == 202
    assert house.post(routes.PASSWORD_RESET, email=EMAIL)[0] == 202
    house.server.until(lambda: len(house.mail.codes()) >= 2, "send mails with codes", timeout=60)
    for number, code in enumerate(house.mail.codes()):
        house.planted.add(f"code from mail {number}", code)
        house.ask("GET", f"{routes.ACTIVATE}?token={code}")
        house.post(routes.ACTIVATE, token=f"{code}x")
        house.post(routes.ACTIVATE, token=code)
    words = ("projectw-server", "user", "code", EMAIL, "--purpose", "reset")
    code = house.planted.add("code from the operator", house.installation.must(*words).stdout.strip())
    weak, new = house.planted.make("refused password")[:20], house.planted.make("new password")
    house.post(routes.PASSWORD_RESET_CONFIRM, token=code, new_password=weak[:1])
    assert house.post(routes.PASSWORD_RESET_CONFIRM, token=code, new_password=new) == (204, None)
    house.password = new
    house.sign_in()

    # A recording that is transcribed, past a fault while its text is stored, and one that breaks the engine.
    runner = house.installation.start_runner(
        "first", house.runner_token, engine="fake", log_level="debug",
        log_format=json.loads(house.installation.server_config.read_text())["server"]["log_format"],
    )  # fmt: skip
    runner.wait_for("registered", timeout=60)
    done = house.submit(sound, house.text)
    assert house.until_over(done) == "succeeded"
    for format in ("txt", "json", "md"):
        status, text = house.ask(
            "GET", f"{routes.JOB_TRANSCRIPT.format(id=done)}?format={format}", token=house.access
        )
        assert status == 200
        assert house.text in text.decode()
    broken = house.submit(sound, f"{BOOM} {house.text}")
    assert house.until_over(broken) == "failed"
    house.ask("GET", f"{routes.JOBS}?q={house.name}", token=house.access)
    house.ask(
        "POST",
        f"{routes.JOBS}?file_name={house.name}",
        b"no sound",
        token=house.access,
        Content_Type="text/x",
    )

    # The terminal program, with its log.
    told = house.installation.command("projectw", "login", EMAIL, "--password-stdin", stdin=wrong)
    told_more = house.installation.command("projectw", "--log-file", tmp_path / "tui.log", "jobs", "--json")
    (tmp_path / "command.log").write_text(told.stdout + told.stderr + told_more.stderr)

    # Crashes.
    runner.send(signal.SIGABRT)
    runner.wait()
    house.server.send(signal.SIGABRT)
    house.server.wait()
    assert "Fatal Python error: Aborted" in house.server.output()
    assert not list(tmp_path.rglob("core*")), "an image of the memory"

    server_said, runner_said = house.server.output(), runner.output()
    for said in (server_said, runner_said):
        assert said.count("Traceback") >= 1, "the faults were met"
    assert "unforeseen error" in server_said
    assert "never retrieved" in server_said
    assert "job failed unexpectedly" in runner_said
    assert house.planted.found_in(tmp_path) == []


def test_a_database_address_with_a_password_is_not_repeated(tmp_path: Path) -> None:
    planted = Planted()
    password = planted.make("database password", kept_in=frozenset({"server.yaml"}))
    for number, url in enumerate(
        (
            f"postgres://ada:{password}@127.0.0.1:1/none",
            f"postgres://ada:{password}@127.0.0.1:nonsense/none",
            f"postgres://ada:{password}@127.0.0.1:1/none?{password}=1",
            f"postgres://ada:{password}/x@127.0.0.1:1/none",
            f"postgres://ada:{password}#x@127.0.0.1:1/none",
            f"postgres://ada:x?{password}@127.0.0.1:1/none",
            f"nonsense://ada:{password}@127.0.0.1:1/none",
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        installation = Installation(folder, server={"database_url": url, "log_level": "debug"})
        for words in (("serve", "--port", "0"), ("config", "check"), ("user", "list")):
            ended = installation.command("projectw-server", *words)
            (folder / f"{words[0]}.log").write_text(ended.stdout + ended.stderr)
    assert planted.found_in(tmp_path) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    planted = Planted()
    token = planted.add("token", f"eyHead.eyBody.{'s' * 40}")
    (tmp_path / "log").write_text(f"…{token.rpartition('.')[2]}…")
    assert planted.found_in(tmp_path) != []
