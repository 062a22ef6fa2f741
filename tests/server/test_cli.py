"""The command line, run as an operator runs it."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projectw_server.cli import run

from .operating import ours

PASSWORD = "correct horse"


def say(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_people_are_added_and_listed(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, PASSWORD.encode() + b"\n")
    assert run(ours(config, "user", "add", "Ada@Example.org", "--admin", "--password-stdin")) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "ada@example.org" in told.err
    assert PASSWORD not in told.err
    assert run(ours(config, "user", "list", "--json")) == 0
    [person] = json.loads(capsys.readouterr().out)
    assert (person["email"], person["is_admin"], person["disabled"]) == ("ada@example.org", True, False)
    assert person["confirmed"] is True
    assert run(ours(config, "user", "list")) == 0
    assert "ada@example.org" in capsys.readouterr().out


def test_a_runners_token_stands_alone_on_stdout(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ours(config, "runner", "add", "gpu-1")) == 0
    token = capsys.readouterr().out
    assert re.fullmatch(r"pwr_[0-9A-Za-z]{46}\n", token)
    assert run(ours(config, "runner", "list", "--json")) == 0
    listed = capsys.readouterr().out
    assert json.loads(listed)[0]["name"] == "gpu-1"
    assert token.strip() not in listed


def test_an_empty_list_is_nothing_or_an_empty_array(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ours(config, "user", "list")) == 0
    assert run(ours(config, "runner", "list", "--json")) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize(
    ("email", "password", "code", "words"),
    [
        ("nobody", PASSWORD.encode(), 1, "is no e-mail address"),
        ("a@b", b"short", 1, "at least 8 characters"),
        ("a@b", b"", 1, "at least 8 characters"),
        ("a@b", b"\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc", 2, "not UTF-8"),
        ("a\x1b[31m@b", PASSWORD.encode(), 1, "is no e-mail address"),
    ],
)
def test_what_cannot_be_an_account_is_said(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    email: str,
    password: bytes,
    code: int,
    words: str,
) -> None:
    say(monkeypatch, password)
    assert run(ours(config, "user", "add", email, "--password-stdin")) == code
    told = capsys.readouterr().err
    assert words in told
    assert "\x1b" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["user", "add"],
        ["serve", "--port", "99999"],
        ["serve", "--port", "x"],
        ["serve", "more"],
        ["user", "add", "ada@example.org"],  # without a terminal that could be asked for the password
    ],
)
def test_wrong_arguments_are_code_2(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(ours(config, *arguments)) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["config", "check"], ["user", "list"]])
def test_a_wrong_configuration_is_code_78_with_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"server:\n  prot: 1\n  port: no\n  data_dir: {tmp_path / 'home'}\n")
    assert run(ours(file, *command)) == 78
    told = capsys.readouterr().err
    assert "2 mistakes" in told
    assert "did you mean 'port'" in told
    assert not (tmp_path / "home").exists(), "nothing is started"


def test_a_weak_signing_key_is_a_wrong_configuration(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + "  signing_key: short\n")
    assert run(ours(config, "config", "check")) == 78
    assert "server.signing_key: is too weak" in capsys.readouterr().err


def test_a_check_tells_what_is_wrong_with_secrets_and_database_at_once(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "  signing_key_file: absent\n  metrics_token_file: absent\n  database_url: mysql://h/x\n"
    config.write_text(config.read_text() + wrong)
    assert run(ours(config, "config", "check")) == 78
    told = capsys.readouterr().err
    assert f"{config}: 3 mistakes" in told
    for setting in ("signing_key_file", "metrics_token_file", "database_url"):
        assert f"server.{setting}: " in told


def test_a_removed_runner_is_gone_and_an_unknown_one_is_said(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ours(config, "runner", "add", "gpu-1"))
    capsys.readouterr()
    run(ours(config, "runner", "list", "--json"))
    (listed,) = json.loads(capsys.readouterr().out)
    assert run(ours(config, "runner", "remove", listed["id"])) == 0
    assert run(ours(config, "runner", "remove", listed["id"])) == 1
    assert "There is no such runner" in capsys.readouterr().err
    run(ours(config, "runner", "list", "--json"))
    assert json.loads(capsys.readouterr().out) == []


def test_a_file_where_the_data_directory_should_be_is_said(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ours(config, "serve", "--data-dir", str(config))) == 1
    assert f"{config} is no folder" in capsys.readouterr().err


def test_a_sound_configuration_is_called_fine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ours(config, "config", "check")) == 0
    assert capsys.readouterr().out == f"{config}: fine\n"


def test_the_schema_knows_the_settings_and_lets_the_other_programs_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["config", "schema"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["properties"]) == {"server", "runner", "tui"}
    assert "data_dir" in json.dumps(document)


@pytest.mark.parametrize(
    ("database", "code", "words"),
    [
        ("sqlite:///nowhere/at/all/x.sqlite3", 1, "unable to open database file"),
        ("mysql://ada:hunter2@localhost/x", 78, "server.database_url"),
        ("nonsense", 78, "server.database_url"),
        ("postgres://ada:hunter2@127.0.0.1:1/x", 1, "127.0.0.1:1/x cannot be used"),
        ("postgres://ada:[hunter2@127.0.0.1:1/x", 1, "127.0.0.1:1/x cannot be used"),
        ("postgresql://ada:hunter2@127.0.0.1:1/x?sslmode=require", 1, "127.0.0.1:1/x cannot be used"),
        ("postgres://ada:hunter2@/x?host=/nowhere", 1, "/nowhere:5432/x cannot be used"),
        ("postgres://ada:hunter2@127.0.0.1:1/x?sslmode=perhaps", 78, "sslmode that is none of disable"),
        ("postgres://ada:hunter2@127.0.0.1:1/x?sslmod=require", 78, "unknown option sslmod"),
        ("postgres://ada:hunter2@127.0.0.1:1/x?maxsize=many", 78, "maxsize that is no number from 1 on"),
        ("postgres://ada:hunter2@127.0.0.1:1/x?maxsize=0", 78, "maxsize that is no number from 1 on"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_its_password(
    config: Path, capsys: pytest.CaptureFixture[str], database: str, code: int, words: str
) -> None:
    config.write_text(config.read_text() + f"  database_url: {database}\n")
    assert run(ours(config, "migrate")) == code
    told = capsys.readouterr().err
    assert words in told
    assert "hunter2" not in told


def test_a_file_that_is_no_database_is_said(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.sqlite3").write_bytes(b"this is no database" * 100)
    config.write_text(config.read_text() + f"  database_url: sqlite://{tmp_path / 'x.sqlite3'}\n")
    assert run(ours(config, "migrate")) == 1
    assert "file is not a database" in capsys.readouterr().err


class Process:
    """A server that runs, until it is told to stop."""

    def __init__(self, config: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "projectw_server", "--config", str(config), "serve", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"listening on (http://[\w.:\[\]-]+)", line):
                self.url = found[1]
                break
        self._rest = threading.Thread(target=self._read)
        self._rest.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines += list(self.process.stderr)

    def get(self, path: str, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=30)

    def post(self, path: str, body: dict[str, Any], token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(asked, timeout=30))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(30)
        self._rest.join(30)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


@pytest.fixture
def server(config: Path) -> Iterator[Process]:
    process = Process(config)
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)


def test_the_server_answers_once_it_says_so_and_accounts_are_made_meanwhile(
    server: Process, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.get("/readyz").status == 200
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:[1-9]\d*\n", server.lines[-1])
    say(monkeypatch, PASSWORD.encode())
    assert run(ours(config, "user", "add", "ada@example.org", "--password-stdin")) == 0
    assert run(ours(config, "runner", "add", "gpu-1")) == 0
    runner_token = capsys.readouterr().out.strip()
    tokens = server.post("/api/auth/login", {"email": "ada@example.org", "password": PASSWORD})
    assert json.load(server.get("/api/users/me", tokens["access_token"]))["email"] == "ada@example.org"

    registration = {"name": "a", "version": "1", "engine": "whisper", "device": "cpu", "models": ["tiny"]}
    session = server.post("/api/runners/register", registration, runner_token)["session"]
    stream = server.get("/api/events", tokens["access_token"])
    assert stream.readline() == b"event: hello\n"
    replies: list[Any] = []
    beat = threading.Thread(
        target=lambda: replies.append(
            server.post("/api/runners/heartbeat", {"session": session, "wait": 15}, runner_token)
        ),
        daemon=True,
    )
    beat.start()
    with pytest.raises(urllib.error.HTTPError):  # a query string, and its answer, for the log
        server.get("/api/jobs?q=private", "pwr_wrong")
    assert server.stop() == 0
    stream.close()
    beat.join(30)
    log = "".join(server.lines)
    assert "Traceback" not in log
    assert "path=/api/users/me" in log
    for secret in (tokens["access_token"], tokens["refresh_token"], runner_token, PASSWORD, "private"):
        assert secret not in log


def test_a_request_that_does_not_end_is_told_that_the_server_stops(server: Process) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as unfinished:
        unfinished.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        assert server.get("/healthz").status == 200
        assert server.stop() == 0
        answer = b"".join(iter(lambda: unfinished.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"The server is stopping" in answer
    assert "Traceback" not in "".join(server.lines)


def test_the_data_is_for_its_owner_alone(server: Process, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert home.stat().st_mode & 0o777 == 0o700
    for file in home.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_second_server_on_the_same_data_is_refused(
    server: Process, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ours(config, "serve")) == 1
    told = capsys.readouterr().err
    assert f"process {server.process.pid}" in told
    assert server.get("/healthz").status == 200
    assert server.stop(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(ours(config, "serve", "--port", str(port))) == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_flags_win_over_the_file_and_logs_can_be_json(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + "  log_format: json\n")
    process = Process(config, "--host", "localhost", "--data-dir", str(tmp_path / "elsewhere"))
    try:
        assert process.url.startswith("http://localhost:")
        assert process.get("/api/about").status == 200
    finally:
        assert process.stop() == 0
    assert (tmp_path / "elsewhere" / "projectw.sqlite3").exists()
    lines = [json.loads(line) for line in process.lines]
    [request] = [line for line in lines if line["event"] == "request"]
    assert (request["method"], request["path"], request["status"]) == ("GET", "/api/about", 200)
    assert request["request_id"]


def test_a_missing_extra_names_the_installation_that_brings_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['quart'] = sys.modules['argon2'] = None\n"
        "from projectw_server.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 1
    assert "pip install 'project-w[server]'" in done.stderr
