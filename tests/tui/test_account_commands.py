import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from projectw_shared.accounts import Disclosure, Quota, Usage
from projectw_shared.errors import Busy, NotConfirmed
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_tui.expiry import expiry

from .commands import Ended, projectw
from .fake_accounts import FakeUser
from .fake_server import EMAIL, PASSWORD, FakeServer
from .test_terminal import terminal

NEW = "a much better password"


# --- getting an account -------------------------------------------------------------------------------------


async def test_one_signs_up_activates_and_signs_in(fake: FakeServer) -> None:
    fake.accounts.signup = "open"
    to = ["--server", fake.url]
    asked = await projectw(*to, "signup", "eve@example.org", "--password-stdin", stdin=f"{NEW}\n".encode())
    assert (asked.code, asked.out) == (0, "")
    assert "projectw activate" in asked.err
    signed_in = await projectw(*to, "login", "eve@example.org", "--password-stdin", stdin=NEW.encode())
    assert signed_in.code == 0
    pending = await projectw(*to, "jobs")
    assert (pending.code, pending.out) == (77, "")
    assert "projectw activate CODE" in pending.err
    (first,) = fake.accounts.codes
    assert (await projectw(*to, "activate", "--resend")).code == 0
    (code,) = fake.accounts.codes
    assert code != first
    assert (await projectw(*to, "activate", code)).code == 0
    assert (await projectw(*to, "jobs", "--json")) == Ended(0, "[]\n", "")


async def test_where_no_mail_is_sent_the_commands_say_who_has_the_code(fake: FakeServer) -> None:
    fake.accounts.signup, fake.accounts.mail = "open", False
    to = ("--server", fake.url)
    for command in (
        ("signup", "eve@example.org", "--password-stdin"),
        ("reset", EMAIL),
    ):
        ended = await projectw(*to, *command, stdin=f"{NEW}\n".encode())
        assert ended.code == 0, ended.err
        assert "This server sends no mail" in ended.err
        assert "operator" in ended.err


async def test_a_sign_up_that_is_not_offered_is_not_allowed(fake: FakeServer) -> None:
    ended = await projectw(
        "--server", fake.url, "signup", "eve@example.org", "--password-stdin", stdin=NEW.encode()
    )
    assert ended.code == 77
    assert "lets nobody sign up" in ended.err


async def test_a_weak_password_fails_with_the_servers_reason(fake: FakeServer) -> None:
    fake.accounts.signup = "open"
    ended = await projectw(
        "--server", fake.url, "signup", "eve@example.org", "--password-stdin", stdin=b"short\n"
    )
    assert ended == Ended(1, "", "projectw: This password would be guessed; take at least 8 characters.\n")


async def test_a_wrong_code_fails(fake: FakeServer) -> None:
    ended = await projectw("--server", fake.url, "activate", "pwm_nothing")
    assert ended.code == 1
    assert "not valid" in ended.err


async def test_a_forgotten_password_is_replaced(fake: FakeServer) -> None:
    to = ["--server", fake.url]
    asked = await projectw(*to, "reset", EMAIL)
    assert (asked.code, asked.out) == (0, "")
    assert "projectw reset --code" in asked.err
    unknown = await projectw(*to, "reset", "nobody@example.org")
    assert unknown.err == asked.err.replace(EMAIL, "nobody@example.org")
    (code,) = fake.accounts.codes
    ended = await projectw(*to, "reset", "--code", code, "--password-stdin", stdin=f"{NEW}\n".encode())
    assert ended.code == 0
    assert fake.accounts.ada.password == NEW


async def test_passwords_are_asked_for_hidden_and_new_ones_twice(fake: FakeServer) -> None:
    fake.accounts.signup = "open"
    async with terminal("--server", fake.url, "signup", "eve@example.org") as found:
        await found.shows("Password:")
        found.type(f"{NEW}\r")
        await found.shows("The same again:")
        found.type("another one\r")
        await found.shows("do not match")
        found.type(f"{NEW}\r")
        await found.shows("The same again:")
        found.type(f"{NEW}\r")
        await found.process.wait()
        assert found.process.returncode == 0
        assert NEW not in found.text
    assert fake.accounts.users[-1].password == NEW


async def test_the_code_is_asked_for_when_it_is_left_out(fake: FakeServer) -> None:
    pending = FakeUser(new_id(), confirmed=False, unconfirmed_email="eve@example.org")
    fake.accounts.users.append(pending)
    fake.accounts.codes["pwm-1"] = ("confirm", pending)
    async with terminal("--server", fake.url, "activate") as found:
        await found.shows("Code from the mail:")
        found.type("pwm-1\r")
        await found.process.wait()
        assert found.process.returncode == 0
    assert pending.confirmed


# --- one's own ----------------------------------------------------------------------------------------------


async def test_the_account_shows_quota_and_usage(server: FakeServer) -> None:
    server.accounts.ada.quota = Quota(audio_seconds=36_000, bytes=10**9, jobs=None)
    server.accounts.ada.usage = Usage(5400, 2 * 10**8, 3)
    server.accounts.ada.unconfirmed_email = "new@example.org"
    people = await projectw("account")
    assert people.code == 0
    for words in (EMAIL, "1:30:00 of 10:00:00", "200 MB of 1.0 GB", "new@example.org"):
        assert words in people.out
    assert json.loads((await projectw("account", "--json")).out)["usage"]["jobs"] == 3


async def test_the_password_is_changed_with_the_present_one(server: FakeServer) -> None:
    wrong = await projectw("password", "--password-stdin", stdin=f"wrong\n{NEW}\n".encode())
    assert (wrong.code, server.accounts.ada.password) == (77, PASSWORD)
    assert server.calls("POST", "/api/users/me/password") == 1
    right = await projectw("password", "--password-stdin", stdin=f"{PASSWORD}\n{NEW}\n".encode())
    assert (right.code, server.accounts.ada.password) == (0, NEW)


async def test_one_line_is_not_enough_for_two_passwords(server: FakeServer) -> None:
    ended = await projectw("password", "--password-stdin", stdin=f"{PASSWORD}\n".encode())
    assert ended.code == 2
    assert "no new password" in ended.err
    assert not server.requests


async def test_the_address_is_changed_once_it_is_confirmed(server: FakeServer) -> None:
    ended = await projectw("email", "new@example.org", "--password-stdin", stdin=PASSWORD.encode())
    assert ended.code == 0
    assert "projectw activate CODE" in ended.err
    assert server.accounts.ada.unconfirmed_email == "new@example.org"


async def test_the_session_in_which_a_new_address_is_confirmed_stays(fake: FakeServer) -> None:
    to = ["--server", fake.url]
    login = ["login", "ada@example.org", "--password-stdin"]
    assert (await projectw(*to, *login, stdin=PASSWORD.encode())).code == 0
    asked = await projectw(*to, "email", "new@example.org", "--password-stdin", stdin=PASSWORD.encode())
    assert asked.code == 0
    (code,) = fake.accounts.codes
    confirmed = await projectw(*to, "activate", code)
    assert (confirmed.code, confirmed.err) == (0, "The address is confirmed.\n")
    assert "new@example.org" in (await projectw(*to, "account")).out


async def test_the_account_is_deleted_only_when_that_is_meant(server: FakeServer) -> None:
    asked = await projectw("account", "delete", "--password-stdin", stdin=PASSWORD.encode())
    assert asked.code == 2
    assert "--yes" in asked.err
    assert len(server.accounts.users) == 1
    done = await projectw("account", "delete", "--yes", "--password-stdin", stdin=PASSWORD.encode())
    assert done.code == 0
    assert not server.accounts.users


async def test_deleting_the_account_asks_for_its_address(server: FakeServer) -> None:
    async with terminal("account", "delete") as found:
        await found.shows(f"Type {EMAIL} to go on:")
        found.type("another@example.org\r")
        await found.process.wait()
        assert found.process.returncode == 2
    assert len(server.accounts.users) == 1


async def test_logging_out_everywhere_ends_all_sessions(fake: FakeServer) -> None:
    to = ["--server", fake.url]
    await projectw(*to, "login", EMAIL, "--password-stdin", stdin=PASSWORD.encode())
    assert (await projectw(*to, "logout", "--everywhere")).code == 0
    assert fake.accounts.ended_everywhere == 1
    assert (await projectw(*to, "jobs")).code == 77


async def test_a_failed_logout_everywhere_keeps_the_session_to_try_again_with(fake: FakeServer) -> None:
    to = ["--server", fake.url]
    await projectw(*to, "login", EMAIL, "--password-stdin", stdin=PASSWORD.encode())
    fake.breaking["/api/auth/logout-all"] = Busy()
    assert (await projectw(*to, "logout", "--everywhere")).code == 1
    assert (await projectw(*to, "jobs")).code == 0


# --- sessions and tokens ------------------------------------------------------------------------------------


async def test_sessions_are_listed_and_ended(server: FakeServer) -> None:
    here = server.accounts.add_session(current=True)
    there = server.accounts.add_session(address="198.51.100.9", client="curl \x1b[31m")
    people = await projectw("sessions")
    assert here.id in people.out and "198.51.100.9" in people.out
    assert "\x1b" not in people.out
    assert [each["id"] for each in json.loads((await projectw("sessions", "--json")).out)] == [
        here.id,
        there.id,
    ]
    assert (await projectw("sessions", "revoke", there.id[-12:])).code == 0
    assert server.accounts.sessions == [here]
    assert (await projectw("sessions", "revoke", there.id)).code == 1


async def test_a_new_tokens_secret_stands_alone_on_stdout(server: FakeServer) -> None:
    ended = await projectw("tokens", "create", "backup", "--scope", "write", "--expires", "90d")
    assert (ended.code, ended.out) == (0, "pwt_the-secret\n")
    assert "not shown again" in ended.err
    (token,) = server.accounts.tokens
    assert (token.name, token.scope) == ("backup", "write")
    assert token.expires_at is not None
    assert abs(token.expires_at - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)


async def test_tokens_are_listed_and_revoked_by_name_or_id(server: FakeServer) -> None:
    first, second = server.accounts.add_token(name="a"), server.accounts.add_token(name="b")
    people = await projectw("tokens")
    assert first.id in people.out and "never" in people.out
    assert len(json.loads((await projectw("tokens", "--json")).out)) == 2
    assert (await projectw("tokens", "revoke", "a")).code == 0
    assert server.accounts.tokens == [second]
    assert (await projectw("tokens", "revoke", second.id[-10:])).code == 0
    assert await projectw("tokens") == Ended(0, "", "There are no API tokens.\n")


async def test_a_name_that_two_tokens_have_is_not_guessed(server: FakeServer) -> None:
    for _ in range(2):
        server.accounts.add_token(name="same")
    ended = await projectw("tokens", "revoke", "same")
    assert ended.code == 2
    assert len(server.accounts.tokens) == 2


@pytest.mark.parametrize("wrong", ["soon", "2001-01-01", "0d", "99999999d", "999999w"])
async def test_an_expiry_that_is_none_is_wrong_use(server: FakeServer, wrong: str) -> None:
    assert (await projectw("tokens", "create", "x", "--expires", wrong)).code == 2
    assert not server.accounts.tokens


def test_a_day_lasts_to_its_end_and_a_moment_is_itself() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert expiry("2026-11-30", now) == datetime(2026, 12, 1, tzinfo=UTC)
    assert expiry("2026-11-30T12:00:00+02:00", now) == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert expiry("12h", now) == now + timedelta(hours=12)


# --- disclosures and defaults -------------------------------------------------------------------------------


async def test_what_admins_have_read_is_told(server: FakeServer) -> None:
    assert (await projectw("disclosures")).out == ""
    server.accounts.disclosures = [
        Disclosure(
            new_id(),
            datetime.now(UTC),
            new_id(),
            "talk.wav",
            "root@example.org",
            "Asked by the \x1b[2J owner",
        )
    ]
    people = await projectw("disclosures")
    assert "root@example.org" in people.out and "talk.wav" in people.out
    assert "\x1b" not in people.out
    assert "\x1b[2J" in json.loads((await projectw("disclosures", "--json")).out)[0]["reason"]


async def test_defaults_are_changed_one_by_one_and_cleared(server: FakeServer) -> None:
    assert (await projectw("defaults", "set", "--language", "de", "--model", "small")).code == 0
    assert (await projectw("defaults", "set", "--model", "auto")).code == 0
    assert server.accounts.defaults == JobSettings(language="de")
    assert "German" in (await projectw("defaults")).out
    assert json.loads((await projectw("defaults", "--json")).out)["language"] == "de"
    assert (await projectw("defaults", "set")).code == 2
    assert (await projectw("defaults", "clear")).code == 0
    assert server.accounts.defaults == JobSettings()


async def test_a_recording_is_sent_with_the_defaults_and_what_is_given_beside_them(
    server: FakeServer, recording: Path
) -> None:
    server.accounts.defaults = JobSettings(model="small", language="de", word_timestamps=True)
    assert (await projectw("submit", str(recording), "--language", "fr")).code == 0
    (job,) = server.jobs.values()
    assert job.settings == JobSettings(model="small", language="fr", word_timestamps=True)


async def test_where_one_may_not_ask_for_defaults_a_recording_is_sent_without(
    server: FakeServer, recording: Path
) -> None:
    server.breaking["/api/users/me/defaults"] = NotConfirmed()
    assert (await projectw("submit", str(recording))).code == 0


async def test_an_estimate_needs_the_size_alone(server: FakeServer, recording: Path) -> None:
    people = await projectw("estimate", str(recording))
    assert "3:05" in people.out
    assert json.loads((await projectw("estimate", str(recording), "--json")).out)["position"] == 3
    assert not server.jobs


# --- wrong use ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reset"], "either an EMAIL"),
        (["reset", EMAIL, "--code", "x"], "either an EMAIL"),
        (["reset", EMAIL, "--password-stdin"], "--password-stdin needs --code"),
        (["activate"], "no terminal"),
        (["activate", "x", "--resend"], "either a code"),
        (["password"], "--password-stdin"),
        (["email", "x@example.org"], "--password-stdin"),
        (["tokens", "create", "x", "--scope", "admin"], "admin"),
        (["sessions", "revoke"], "Missing argument"),
    ],
)
async def test_wrong_use_is_2_and_nothing_is_sent(
    server: FakeServer, arguments: list[str], said: str
) -> None:
    ended = await projectw(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not server.requests
