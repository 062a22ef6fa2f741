"""What the operator's commands do about codes, weak passwords and mail settings."""

import asyncio
import io
import re
import sys
from pathlib import Path

import pytest

from projectw_server.accounts.codes import digest
from projectw_server.accounts.confirming import Confirming
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.strength import Strength
from projectw_server.cli import run
from projectw_server.db import Row, open_database
from projectw_server.settings import ServerSettings

from ..operating import ours

ADA, PASSWORD = "ada@example.org", "violin-tangerine-moth-38"


def add(config: Path, monkeypatch: pytest.MonkeyPatch, password: str, email: str = ADA) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(password.encode())))
    return run(ours(config, "user", "add", email, "--password-stdin"))


def sign_up(config: Path) -> None:
    settings = ServerSettings(data_dir=config.parent / "home", signup="open")

    async def work() -> None:
        passwords, strength = Passwords(workers=1), Strength(0)
        async with open_database(settings.database) as database:
            await Confirming(database, settings, passwords, strength).sign_up(ADA, PASSWORD)
        passwords.close()
        strength.close()

    assert run(ours(config, "migrate")) == 0
    asyncio.run(work())


def tokens(config: Path) -> list[Row]:
    async def work() -> list[Row]:
        async with open_database(f"sqlite://{config.parent / 'home' / 'projectw.sqlite3'}") as database:
            return await database.rows("SELECT token_hash, purpose FROM mail_tokens")

    return asyncio.run(work())


@pytest.mark.parametrize("purpose", ["confirm", "reset"])
def test_a_code_stands_alone_on_stdout_and_is_the_one_that_counts(
    config: Path, capsys: pytest.CaptureFixture[str], purpose: str
) -> None:
    sign_up(config)
    capsys.readouterr()
    assert run(ours(config, "user", "code", " ADA@example.org", "--purpose", purpose)) == 0
    told = capsys.readouterr()
    assert re.fullmatch(r"pwm_([0-9a-z]{4}-){6}[0-9a-z]{4}\n", told.out)
    assert "once" in told.err
    assert tokens(config) == [{"token_hash": digest(told.out), "purpose": purpose}]


def test_an_address_without_an_account_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ours(config, "user", "code", ADA)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "has no account that waits for its confirmation" in told.err


@pytest.mark.parametrize(
    ("password", "is_weak"), [("password", True), ("ada@example.org", True), (PASSWORD, False)]
)
def test_the_operator_is_warned_of_a_weak_password_and_has_it(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    password: str,
    is_weak: bool,
) -> None:
    assert add(config, monkeypatch, password) == 0
    told = capsys.readouterr().err
    assert "Added ada@example.org." in told
    assert ("would be guessed" in told) is is_weak


def test_the_length_rule_holds_for_the_operator_too(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add(config, monkeypatch, "seven77") == 1


def test_a_check_tells_what_is_wrong_with_mail_and_domains_at_once(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with config.open("a") as file:
        file.write("  allowed_email_domains: ['*.example.org']\n  smtp_host: mail.example.org\n")
    assert run(ours(config, "config", "check")) == 78
    told = capsys.readouterr().err
    assert "server.allowed_email_domains" in told
    assert "server.mail_from: is needed with smtp_host" in told


def test_a_server_with_wrong_mail_settings_does_not_start(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with config.open("a") as file:
        file.write("  smtp_host: mail.example.org\n  smtp_security: plain\n  mail_from: a@example.org\n")
    assert run(ours(config, "serve")) == 78
    assert "server.smtp_security" in capsys.readouterr().err


def test_the_password_of_the_mail_server_may_stand_in_a_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = config.parent / "smtp-password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    with config.open("a") as file:
        file.write(
            "  smtp_host: mail.example.org\n  mail_from: a@example.org\n  smtp_user: projectw\n"
            f"  smtp_password_file: {secret}\n"
        )
    assert run(ours(config, "config", "check")) == 0
    secret.unlink()
    assert run(ours(config, "config", "check")) == 78
    assert "s3cret" not in capsys.readouterr().err
