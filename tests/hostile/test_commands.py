"""Every command of ``projectw`` on a terminal, with evil texts in all that a stranger controls."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from projectw_shared.jobs import JobState
from projectw_shared.text import columns
from projectw_tui.cli.main import projectw
from tests.hostile.hostile_server import CONTROL, HostileServer
from tests.hostile.programs import Step, assert_all_harmless, filled, leaves, run_all
from tests.hostile.strings import A_MILLION, EVERY, EVIL, HONEST, NOT_IN_JSON, chosen
from tests.tui.commands import projectw as command

ALL: Final = {**EVIL, **NOT_IN_JSON}

pytestmark = pytest.mark.timeout(3000 if EVERY else 300)

METER: Final = frozenset({r"'\r'", "CSI K"})
"""How a line of progress is drawn over itself."""

STATES: Final = {"cancel": JobState.QUEUED, "retry": JobState.FAILED}
"""In which state the jobs of a command are, where it wants others than those that are done."""

HOPELESS: Final = ("login", "config check", "reset", "password", "account delete")
"""Commands that never succeed here: what they ask for is wrong by intent."""

COMMANDS: Final[dict[str, list[list[str]]]] = {
    "login": [["login", "{text}", "--password-stdin"]],
    "logout": [["logout"]],
    "submit": [
        ["submit", "{file}"],
        ["submit", "{file}", "--wait"],
        ["submit", "{file}", "--wait", "--json"],
        ["submit", "{file}", "--wait", "--output-dir", "{folder}/out"],
        ["submit", "{text}", "--model", "{text}"],
    ],
    "jobs": [["jobs"], ["jobs", "--json"], ["jobs", "--state", "{text}"]],
    "show": [["show", "{id}"], ["show", "{id}", "--json"], ["show", "{text}"]],
    "transcript": [
        ["transcript", "{id}"],
        ["transcript", "{id}", "--format", "json"],
        ["transcript", "{id}", "--output", "{folder}/out/{name}.txt"],
        ["transcript", "{text}"],
    ],
    "cancel": [["cancel", "{id}"], ["cancel", "{text}"]],
    "retry": [["retry", "{id}"], ["retry", "{text}"]],
    "delete": [["delete", "{id}"], ["delete", "{text}", "--yes"], ["delete", "{id}", "--yes"]],
    "signup": [["signup", "{text}", "--password-stdin"]],
    "activate": [["activate", "{text}"], ["activate", "--resend"]],
    "reset": [["reset", "--code", "{text}", "--password-stdin"]],
    "account": [["account"], ["account", "--json"]],
    "account delete": [["account", "delete", "--password-stdin"]],
    "password": [["password", "--password-stdin"]],
    "email": [["email", "{text}", "--password-stdin"]],
    "sessions": [["sessions"], ["sessions", "--json"]],
    "sessions revoke": [["sessions", "revoke", "{text}"], ["sessions", "revoke", "{session}"]],
    "tokens": [["tokens"], ["tokens", "--json"]],
    "tokens create": [["tokens", "create", "{text}"], ["tokens", "create", "x", "--expires", "{text}"]],
    "tokens revoke": [["tokens", "revoke", "{text}"]],
    "defaults": [["defaults"], ["defaults", "--json"]],
    "defaults set": [["defaults", "set", "--prompt", "{text}"], ["defaults", "set", "--model", "{text}"]],
    "defaults clear": [["defaults", "clear"]],
    "disclosures": [["disclosures"], ["disclosures", "--json"]],
    "estimate": [["estimate", "{file}"], ["estimate", "{file}", "--json"]],
    "admin users": [["admin", "users"], ["admin", "users", "{text}"], ["admin", "users", "--json"]],
    "admin user add": [["admin", "user", "add", "{text}", "--password-stdin"]],
    "admin user disable": [
        ["admin", "user", "disable", "{text}", "--yes"],
        ["admin", "user", "disable", "{user}", "--yes"],
    ],
    "admin user enable": [["admin", "user", "enable", "{text}"], ["admin", "user", "enable", "{user}"]],
    "admin user promote": [
        ["admin", "user", "promote", "{text}", "--yes"],
        ["admin", "user", "promote", "{user}", "--yes"],
    ],
    "admin user demote": [
        ["admin", "user", "demote", "{text}", "--yes"],
        ["admin", "user", "demote", "{user}", "--yes"],
    ],
    "admin user reset-password": [
        ["admin", "user", "reset-password", "{text}", "--password-stdin"],
        ["admin", "user", "reset-password", "{user}", "--password-stdin"],
    ],
    "admin user quota": [
        ["admin", "user", "quota", "{text}", "--reset"],
        ["admin", "user", "quota", "{user}", "--reset"],
        ["admin", "user", "quota", "x", "--storage", "{text}"],
    ],
    "admin user delete": [
        ["admin", "user", "delete", "{text}", "--yes"],
        ["admin", "user", "delete", "{user}", "--yes"],
    ],
    "admin runners": [["admin", "runners"], ["admin", "runners", "--json"]],
    "admin runner create": [["admin", "runner", "create", "{text}"]],
    "admin runner cordon": [["admin", "runner", "cordon", "{text}"]],
    "admin runner uncordon": [["admin", "runner", "uncordon", "{text}"]],
    "admin runner drain": [["admin", "runner", "drain", "{text}", "--yes"]],
    "admin runner revoke": [["admin", "runner", "revoke", "{text}", "--yes"]],
    "admin jobs": [["admin", "jobs"], ["admin", "jobs", "{text}"], ["admin", "jobs", "--json"]],
    "admin read": [
        ["admin", "read", "{id}", "--reason", "It has to be so", "--yes"],
        ["admin", "read", "{text}", "--reason", "{text}", "--yes"],
    ],
    "admin audit": [
        ["admin", "audit"],
        ["admin", "audit", "--action", "{text}"],
        ["admin", "audit", "--json"],
    ],
    "config check": [
        ["--config", "{config}", "config", "check"],
        ["--config", "{folder}/{name}", "config", "check"],
        ["--server", "{text}", "config", "check"],
    ],
}
"""Each command, with the arguments to try: ``{text}`` is evil, ``{id}`` a job full of it, ``{file}`` so named."""


def test_every_command_is_tried() -> None:
    assert set(leaves(projectw)) == set(COMMANDS), "add the new command to COMMANDS"


@pytest.fixture
async def hostile() -> AsyncIterator[HostileServer]:
    server = HostileServer()
    await server.start()
    yield server
    await server.stop()


def file_name(text: str) -> str:
    """The closest to ``text`` that a file can be called."""
    raw = (
        text.replace("\0", "")
        .replace("/", "_")
        .encode("utf-8", "surrogateescape" if "\udcff" in text else "strict")
    )
    return raw[:200].decode("utf-8", "surrogateescape")


def prepare(folder: Path, name: str, text: str) -> dict[str, str]:
    """Make the files that the arguments name, and return what stands for what."""
    called = file_name(text.replace("\ud83d\udc80", ""))
    own = folder / "files" / name
    own.mkdir(parents=True)
    (own / called).write_bytes(b"RIFF")
    configs = folder / "configs" / name
    configs.mkdir(parents=True)
    config = configs / f"{called[:100]}.yaml"
    wrong = text.encode(errors="replace").decode()
    config.write_text(json.dumps({"tui": {wrong: wrong, "theme": wrong, "log_format": wrong}, wrong: wrong}))
    return {"text": text, "file": str(own / called), "config": str(config), "name": called[:100]}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_is_harmless_whatever_it_is_told(
    command: str, hostile: HostileServer, tmp_path: Path
) -> None:
    ids = hostile.fill(EVIL, STATES.get(command, JobState.SUCCEEDED))
    (tmp_path / "out").mkdir()
    steps = []
    some = chosen(ALL, list(COMMANDS).index(command))
    for number, name in enumerate(ALL):
        if name not in some:
            continue
        values = prepare(tmp_path, str(number), ALL[name])
        values |= {"id": ids.get(name, "none"), "folder": str(tmp_path)}
        values |= {"user": hostile.accounts.users[1].id, "session": hostile.accounts.sessions[0].id}
        for variant in COMMANDS[command]:
            if not any("{" in word for word in variant) and name != next(iter(some)):
                continue  # it says the same of every job
            asks = command in ("login", "logout") or "{id}" in variant
            for refuses in ("", "?refuses") if asks else ("",):
                tell = f"{hostile.url}{CONTROL}{min(number, len(EVIL) - 1)}{refuses}"
                stdin = "a password\n" if "--password-stdin" in variant else None
                steps.append(
                    Step(
                        f"{command}, {name}",
                        filled(variant, values),
                        stdin,
                        tell,
                        METER if command == "submit" else frozenset(),
                    )
                )
    results = await run_all(
        "projectw_tui.__main__:main",
        ("projectw_tui.cli.main", "projectw_tui.client", "projectw_tui.live", "projectw_shared.config"),
        steps,
        tmp_path,
        question=b"transcript? [y/N]: " if command == "delete" else b"",
        HOME=str(tmp_path),
        XDG_STATE_HOME=str(tmp_path / "state"),
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        PROJECTW_SERVER=hostile.url,
        PROJECTW_TOKEN=hostile.grant(),
    )
    assert_all_harmless(results)
    assert any(code == 0 for _, code, _ in results) or command in HOPELESS, results[0]


async def test_a_million_characters_and_honest_words_are_shown_as_they_are(
    hostile: HostileServer, tmp_path: Path
) -> None:
    texts = {**HONEST, "a million": A_MILLION}
    ids = hostile.fill(texts)
    commands = ("jobs", "show", "transcript")
    steps = [
        Step(f"{command}, {name}", [command, *([ids[name]] if command != "jobs" else [])])
        for command in commands
        for name in texts
    ]
    results = await run_all(
        "projectw_tui.__main__:main",
        ("projectw_tui.cli.main", "projectw_tui.client"),
        steps,
        tmp_path,
        size=(130, 30),
        HOME=str(tmp_path),
        PROJECTW_SERVER=hostile.url,
        PROJECTW_TOKEN=hostile.grant(),
    )
    assert_all_harmless(results)
    for step, code, written in results:
        assert code == 0, written.text
        text = texts[step.name.partition(", ")[2]]
        if step.name.startswith("transcript") or len(text) < 100:
            assert text in written.text.replace("\n\n", "\n"), step.name
        if step.name.startswith("jobs"):
            assert len(written.text.splitlines()) == 1 + len(texts), "a row each"
            assert max(map(columns, written.text.splitlines())) <= 130


async def test_json_and_exports_hold_every_text_exactly(hostile: HostileServer, tmp_path: Path) -> None:
    ids = hostile.fill(EVIL)
    surroundings = {"PROJECTW_SERVER": hostile.url, "PROJECTW_TOKEN": hostile.grant()}
    listed = await command("jobs", "--limit", "500", "--json", **surroundings)
    names = {job["id"]: job["file_name"] for job in json.loads(listed.out)}
    assert names == {ids[name]: text for name, text in EVIL.items()}
    # On a terminal the document says the same.
    steps = [Step("jobs", ["jobs", "--limit", "500", "--json"])]
    [(_, _, written)] = await run_all("projectw_tui.__main__:main", (), steps, tmp_path, **surroundings)
    assert {job["id"]: job["file_name"] for job in json.loads(written.text)} == names
    for name in ("clear the screen", "override to the left", "a line of log"):
        exported = tmp_path / "exported"
        await command("transcript", ids[name], "--output", str(exported), **surroundings)
        assert exported.read_bytes().decode() == f"{EVIL[name]}\n"
        piped = await command("transcript", ids[name], **surroundings)
        assert piped.out == f"{EVIL[name]}\n"


async def test_a_table_in_a_pipe_has_a_line_for_each_job_too(hostile: HostileServer) -> None:
    hostile.fill(EVIL)
    surroundings = {"PROJECTW_SERVER": hostile.url, "PROJECTW_TOKEN": hostile.grant()}
    listed = await command("jobs", "--limit", "500", **surroundings)
    assert len(listed.out.splitlines()) == 1 + len(EVIL)
    assert listed.out.replace("\n", "").isprintable() or "\ue000" in listed.out


RAW: Final = {
    "status line": b"HTTP/1.1 200 \x1b]0;EVIL\x07[/nope]\r\nContent-Length: 2\r\n\r\n{}",
    "no status": b"\x1b[2JEVIL\r\n\r\n",
    "bad header": b"HTTP/1.1 200 OK\r\nX: a\x1b[31mEVIL\x00\r\nContent-Length: 2\r\n\r\n{}",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: \x1b]0;EVIL\x07\r\n\r\n{}",
    "cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: E\x9bVIL\x1b[31m=[/nope]; \x1b]0;EVIL\r\nContent-Length: 2\r\n\r\n{}",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://x/\xe2\x80\xaeEVIL[/nope]\x9b31m\r\nContent-Length: 0\r\n\r\n",
    "pause": b"HTTP/1.1 429 X\r\nRetry-After: 1e400\xe2\x80\xae\r\nContent-Length: 0\r\n\r\n",
    "endless pause": b"HTTP/1.1 503 X\r\nRetry-After: 99999999999\r\nContent-Length: 4\r\n\r\nEVIL",
    "proxy's page": b"HTTP/1.1 500 X\r\nContent-Length: 21\r\n\r\n<b>\x1b[31mEVIL\x1b[0m</b>",
    "encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nEVIL",
    "strange numbers": (
        b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"next_cursor":null,"jobs":[{"id":"\\u001b[31mEVIL\\nx",'
        b'"file_name":"EVIL",'
        b'"bytes":9223372036854775807,"duration":1e308,"state":"running","cancel_requested":false,"progress":1e308,'
        b'"position":-9223372036854775808,"eta":-1e308,"settings":{},"language":null,"runner":null,"attempts":-1,"error":null,'
        b'"created_at":"0001-01-01T00:00:00","started_at":null,"finished_at":null,"revision":-1}]}'
    ),
}
"""Answers that no server library would send."""


@pytest.mark.parametrize("answer", RAW)
async def test_a_server_that_does_not_even_speak_http_is_harmless(answer: str, tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RAW[answer])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    steps = [
        Step("jobs", ["jobs"]),
        Step("login", ["login", "ada@example.org", "--password-stdin"], "a password\n"),
    ]
    try:
        results = await run_all(
            "projectw_tui.__main__:main",
            (),
            steps,
            tmp_path,
            HOME=str(tmp_path),
            PROJECTW_SERVER=f"http://127.0.0.1:{port}",
            PROJECTW_TOKEN="token",
        )
    finally:
        server.close()
    assert_all_harmless(results)
