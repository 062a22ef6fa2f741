"""What an operator does beside serving: keys, the audit log, a look at the whole."""

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from projectw_server.accounts.chain import HEAD_FILE, Audit
from projectw_server.cli import run
from projectw_server.db import open_database
from projectw_server.uploads.sweeping import GRACE_SECONDS
from projectw_shared.ids import new_id

from .operating import ours


def changed(config: Path, sql: str, *values: object) -> None:
    """Change the database behind the server's back."""
    with sqlite3.connect(config.parent / "home" / "projectw.sqlite3") as connection:
        connection.execute(sql, values)
    connection.close()


def test_the_log_is_verified_and_exported(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        assert run(ours(config, "runner", "add", name)) == 0
    capsys.readouterr()
    assert run(ours(config, "audit", "verify")) == 0
    out, err = capsys.readouterr()
    head = out.strip()
    assert head.startswith("2:")
    assert "2 entries, none changed or missing" in err
    assert run(ours(config, "audit", "verify", "--head", head)) == 0
    assert run(ours(config, "audit", "export")) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(each["number"], each["actor_kind"], each["action"]) for each in entries] == [
        (1, "operator", "runner-created"),
        (2, "operator", "runner-created"),
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE audit SET at = at + 1 WHERE number = 1", "entry 1 was changed"),
        ("DELETE FROM audit WHERE number = 1", "entry 1 is missing"),
        ("DELETE FROM audit WHERE number = 2", "entry 2 is missing"),
    ],
)
def test_a_log_that_was_changed_is_a_failure_that_says_where(
    config: Path, capsys: pytest.CaptureFixture[str], sql: str, words: str
) -> None:
    for name in ("one", "two"):
        assert run(ours(config, "runner", "add", name)) == 0
    changed(config, sql)
    with pytest.raises(SystemExit) as ended:
        run(ours(config, "audit", "verify"))
    assert ended.value.code == 1
    assert words in capsys.readouterr().err


def test_what_was_removed_because_of_its_age_is_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        assert run(ours(config, "runner", "add", name)) == 0

    async def cut() -> None:
        home = config.parent / "home"
        async with open_database(f"sqlite://{home / 'projectw.sqlite3'}") as database:
            await database.rows("UPDATE audit SET at = at - 864000, number = NULL, hash = NULL")
            (home / HEAD_FILE).unlink()
            audit = Audit(database, home / HEAD_FILE, keep_days=1)
            await audit.seal()
            await audit.cut()

    asyncio.run(cut())
    capsys.readouterr()
    assert run(ours(config, "audit", "verify")) == 0
    _, err = capsys.readouterr()
    assert "3 entries, none changed or missing, 1 not sealed yet" in err
    assert "1 to 2, from before 2" in err


@pytest.mark.parametrize("head", ["", "x", "3", "3:short", f"-1:{'0' * 64}"])
def test_a_head_that_is_none_is_wrong_usage(config: Path, head: str) -> None:
    assert run(ours(config, "audit", "verify", "--head", head)) == 2


def test_keys_are_rotated_and_listed_without_being_shown(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ours(config, "keys", "rotate")) == 0
    capsys.readouterr()
    assert run(ours(config, "keys", "list")) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1].split()[0] for line in out] == ["in", "until"]
    secrets = [line.split()[0] for line in (config.parent / "home" / "signing.key").read_text().splitlines()]
    assert len(secrets) == 2
    assert not any(secret in line for secret in secrets for line in out)
    assert run(ours(config, "keys", "rotate", "--now")) == 0
    assert "sign in anew" in capsys.readouterr().err


def test_a_healthy_installation_has_nothing_to_mend(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(ours(config, "doctor", "--json"))
    findings = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0, findings
    assert {each["status"] for each in findings} == {"ok"}
    assert {"folder", "network", "database", "audit", "orphans", "recordings", "uploads"} <= {
        each["check"] for each in findings
    }


@pytest.mark.parametrize(
    ("way", "status", "words"),
    [
        ("insecure_plain_http: true", "warn", "unencrypted"),
        ("trusted_proxies: [10.0.0.5]", "ok", "10.0.0.5"),
    ],
)
def test_the_doctor_says_how_the_server_is_reached(
    config: Path, capsys: pytest.CaptureFixture[str], way: str, status: str, words: str
) -> None:
    config.write_text(f"{config.read_text()}  host: 0.0.0.0\n  {way}\n")
    assert run(ours(config, "migrate")) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run(ours(config, "doctor", "--json"))
    (found,) = (each for each in json.loads(capsys.readouterr().out) if each["check"] == "network")
    assert found["status"] == status
    assert words in found["message"]


def test_the_doctor_finds_what_nobody_owns_on_both_sides(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ours(config, "migrate")) == 0
    home = config.parent / "home"
    orphan, missing, short, half = (new_id() for _ in range(4))
    for job_id in (missing, short):
        asyncio.run(with_job(home, job_id))
    for job_id in (orphan, short):
        blob = home / "recordings" / "blobs" / job_id[-2:] / job_id
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(b"x")
        os.utime(blob, (0, time.time() - 2 * GRACE_SECONDS))
    incoming = home / "recordings" / "incoming" / half
    incoming.parent.mkdir(parents=True, exist_ok=True)
    incoming.write_bytes(b"x")
    os.utime(incoming, (0, time.time() - 2 * GRACE_SECONDS))
    home.chmod(0o755)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run(ours(config, "doctor"))
    out = capsys.readouterr().out
    assert ended.value.code == 1
    for words in (orphan, missing, short, "1 half uploads", "can be entered by other users", "chmod 700"):
        assert words in out
    with pytest.raises(SystemExit):
        run(ours(config, "doctor", "--repair"))
    assert "1 recordings that belonged to no job were removed" in capsys.readouterr().out
    assert not (home / "recordings" / "blobs" / orphan[-2:] / orphan).exists()
    assert (home / "recordings" / "blobs" / short[-2:] / short).exists()


async def with_job(home: Path, job_id: str) -> None:
    """Put a job of 1000 bytes into the database, by itself."""
    async with open_database(f"sqlite://{home / 'projectw.sqlite3'}") as database:
        await database.rows(
            "INSERT INTO users (id, email, password_hash, is_admin, disabled, created_at)"
            " VALUES ($1, $1, '', FALSE, FALSE, 0)",
            job_id,
        )
        await database.rows(
            "INSERT INTO jobs (id, owner_id, file_name, media_type, bytes, sha256, settings, state, created_at,"
            " revision, needs, cancel_requested, rank, start_tag, finish_tag, attempts, lease, segment_count,"
            " resume_at, resumed_from)"
            " VALUES ($1, $1, 'a', 'audio/wav', 1000, '0', '{}', 'failed', 0, 0, '*', FALSE, 0, 0, 0, 0, 0, 0, 0, 0)",
            job_id,
        )
