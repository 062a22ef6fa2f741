"""Sign-ins: their tokens, their one-time refresh, their end."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import argon2
import jwt
import pytest
from msgspec.structs import replace

from projectw_server.accounts import sessions
from projectw_server.accounts.keys import signing_key
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.sessions import DAY, Sessions
from projectw_server.accounts.signing import ACCESS, REFRESH, Claims, Signer
from projectw_server.accounts.users import Users
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared.accounts import Tokens
from projectw_shared.config import ConfigError, ReadableByOthers
from projectw_shared.errors import Forbidden, Unauthorized, WrongPassword

KEY = b"0123456789abcdef0123456789abcdef"
EMAIL, PASSWORD = "ada@example.org", "correct horse"


class Desk:
    """Sessions with a clock that can be moved, and one account."""

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self.shift = 0.0
        self.database = database
        self.passwords = Passwords(workers=1)
        self.users = Users(database, self.passwords)
        self.sessions = Sessions(database, settings, KEY, self.passwords, now=self.now)

    def now(self) -> float:
        return time.time() + self.shift

    async def login(self) -> Tokens:
        return await self.sessions.login(EMAIL, PASSWORD)

    async def identify(self, tokens: Tokens) -> Person | None:
        claims = self.sessions.read(tokens.access_token)
        return claims and await self.sessions.identify(claims)


@pytest.fixture
async def desk(database: Database, settings: ServerSettings) -> AsyncIterator[Desk]:
    desk = Desk(database, settings)
    await desk.users.add(EMAIL, PASSWORD)
    yield desk
    desk.passwords.close()


async def test_a_sign_in_says_who_it_is(desk: Desk) -> None:
    tokens = await desk.sessions.login(" ADA@example.org", PASSWORD)
    person = await desk.identify(tokens)
    assert person is not None
    assert person.email == EMAIL
    assert person.session_id
    assert tokens.token_type == "Bearer"
    assert tokens.expires_in >= 15 * 60


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "wrong horse"), ("bob@example.org", PASSWORD), ("no address", PASSWORD), (EMAIL, ""), ("", "")],
)
async def test_every_failed_sign_in_has_the_same_words(desk: Desk, email: str, password: str) -> None:
    with pytest.raises(WrongPassword) as refused:
        await desk.sessions.login(email, password)
    assert refused.value.detail == "The e-mail address or the password is wrong"
    assert refused.value.code == "wrong-password"


async def test_a_failed_sign_in_costs_one_hash_whether_or_not_the_account_is_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    matches = Passwords._matches

    def spy(self: Passwords, secret: bytes, stored: str) -> bool:
        hashes.append(stored)
        return matches(self, secret, stored)

    monkeypatch.setattr(Passwords, "_matches", spy)
    for email in (EMAIL, "bob@example.org", "no address"):
        with pytest.raises(WrongPassword):
            await desk.sessions.login(email, "wrong horse")
    assert len(hashes) == 3


async def test_a_disabled_account_is_told_so_only_with_its_password(desk: Desk) -> None:
    tokens = await desk.login()
    await desk.database.rows("UPDATE users SET disabled = TRUE")
    with pytest.raises(Forbidden, match="disabled"):
        await desk.login()
    with pytest.raises(WrongPassword):
        await desk.sessions.login(EMAIL, "wrong horse")
    assert await desk.identify(tokens) is None, "what was open is shut at once"
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(tokens.refresh_token)


async def test_a_weak_hash_is_renewed_at_the_next_sign_in(desk: Desk) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await desk.database.rows("UPDATE users SET password_hash = $1", weak)
    await desk.login()
    row = await desk.database.row("SELECT password_hash FROM users")
    assert row is not None
    assert "m=19456,t=2,p=1" in row["password_hash"]
    await desk.login()


async def test_a_refresh_token_gives_new_ones_of_the_same_sign_in(desk: Desk) -> None:
    first = await desk.login()
    second = await desk.sessions.refresh(first.refresh_token)
    third = await desk.sessions.refresh(second.refresh_token)
    people = [await desk.identify(tokens) for tokens in (first, second, third)]
    assert len({person and person.session_id for person in people}) == 1


async def test_the_second_use_of_a_refresh_token_ends_the_session(desk: Desk) -> None:
    first = await desk.login()
    second = await desk.sessions.refresh(first.refresh_token)
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(first.refresh_token)
    assert await desk.identify(second) is None
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(second.refresh_token)


async def test_a_refresh_token_used_by_many_at_once_leaves_no_valid_token(desk: Desk) -> None:
    first = await desk.login()
    results = await asyncio.gather(
        *(desk.sessions.refresh(first.refresh_token) for _ in range(8)), return_exceptions=True
    )
    won = [each for each in results if isinstance(each, Tokens)]
    assert len(won) == 1
    assert all(isinstance(each, Unauthorized) for each in results if each is not won[0])
    assert await desk.identify(won[0]) is None


async def test_a_stolen_token_does_not_end_other_sign_ins(desk: Desk) -> None:
    mine, stolen = await desk.login(), await desk.login()
    await desk.sessions.refresh(stolen.refresh_token)
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(stolen.refresh_token)
    assert await desk.identify(mine) is not None


async def test_signing_out_works_at_once(desk: Desk) -> None:
    tokens, other = await desk.login(), await desk.login()
    person = await desk.identify(tokens)
    assert person is not None
    assert person.session_id is not None
    await desk.sessions.logout(person.session_id)
    assert await desk.identify(tokens) is None
    assert await desk.identify(other) is not None
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(tokens.refresh_token)


async def test_a_sign_in_that_is_not_used_runs_out_and_a_used_one_does_not(
    desk: Desk, settings: ServerSettings
) -> None:
    tokens = await desk.login()
    claims = desk.sessions.read(tokens.access_token)
    assert claims is not None
    desk.shift = (settings.session_days - 1) * DAY
    await desk.sessions.refresh(tokens.refresh_token)
    desk.shift += 2 * DAY
    assert await desk.sessions.identify(claims) is not None
    desk.shift += settings.session_days * DAY
    assert await desk.sessions.identify(claims) is None


async def test_sign_ins_that_ran_out_are_removed_at_the_next_one(
    desk: Desk, settings: ServerSettings
) -> None:
    await desk.login()
    desk.shift = (settings.session_days + 1) * DAY
    await desk.login()
    assert len(await desk.database.rows("SELECT id FROM sessions")) == 1


def payload(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "sub": "u",
        "sid": "s",
        "iat": now,
        "exp": now + 60,
        "iss": "projectw",
        "aud": ACCESS,
    } | changes
    return {key: value for key, value in whole.items() if value is not None}


async def test_of_too_many_sign_ins_the_one_that_was_used_longest_ago_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    first, second = await desk.login(), await desk.login()
    desk.shift = 60
    first = await desk.sessions.refresh(first.refresh_token)
    third = await desk.login()
    assert [await desk.identify(each) is not None for each in (first, second, third)] == [True, False, True]


def test_a_token_has_exactly_the_claims_that_it_needs() -> None:
    token = Signer(KEY).sign(Claims("u", "s"), ACCESS, 60)
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"sub", "sid", "iat", "exp", "iss", "aud"}
    assert Signer(KEY).read(token, ACCESS) == Claims("u", "s")


@pytest.mark.parametrize("missing", ["sub", "sid", "iat", "exp", "iss", "aud"])
def test_a_token_without_one_of_its_claims_is_none(missing: str) -> None:
    token = jwt.encode(payload(**{missing: None}), KEY, "HS256")
    assert Signer(KEY).read(token, ACCESS) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"iss": "other"},
        {"aud": REFRESH},
        {"aud": [ACCESS, REFRESH]},
        {"iat": int(time.time()) + 9999},
        {"iat": "now"},
        {"exp": 2.5e9},
        {"exp": True},
        {"sid": 7},
        {"sid": "\ud800"},
        {"sub": "\ud800"},
        {"gen": "x"},
        {"gen": True},
        {"gen": -1},
        {"gen": 10**30},
    ],
)
def test_a_token_that_says_something_else_is_none(changes: dict[str, Any]) -> None:
    assert Signer(KEY).read(jwt.encode(payload(**changes), KEY, "HS256"), ACCESS) is None


def test_tokens_stay_good_when_the_machines_clock_jumps() -> None:
    at = time.time()
    for jump in (-3600.0, 3600.0):
        # The server's own clock does not jump along.
        signer = Signer(KEY, now=lambda: at + jump)  # noqa: B023  used within the round
        assert signer.read(signer.sign(Claims("u", "s"), ACCESS, 60), ACCESS) == Claims("u", "s")


def test_a_token_of_a_server_whose_clock_is_a_little_ahead_is_good() -> None:
    token = Signer(KEY, now=lambda: time.time() + 30).sign(Claims("u", "s"), ACCESS, 60)
    assert Signer(KEY).read(token, ACCESS) == Claims("u", "s")


def test_a_token_of_another_key_or_algorithm_is_none() -> None:
    signer = Signer(KEY)
    other = jwt.encode(payload(), b"x" * 32, "HS256")
    unsigned = jwt.encode(payload(), None, "none")
    stronger = jwt.encode(payload(), KEY * 2, "HS512")
    for token in (other, unsigned, stronger, "", "a.b.c", "not a token", "ä.ö.ü", "\ud800", "." * 5000):
        assert signer.read(token, ACCESS) is None
    assert signer.read(jwt.encode(payload(), KEY, "HS256"), ACCESS) == Claims("u", "s")


async def test_a_refresh_token_is_no_access_token_and_the_reverse(desk: Desk) -> None:
    tokens = await desk.login()
    assert desk.sessions.read(tokens.refresh_token) is None
    with pytest.raises(Unauthorized):
        await desk.sessions.refresh(tokens.access_token)


def test_the_key_is_made_once_and_kept_for_its_owner_alone(settings: ServerSettings) -> None:
    key = signing_key(settings)
    file = settings.home / "signing.key"
    assert len(key) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert signing_key(settings) == key
    assert [each.name for each in settings.home.iterdir() if "signing" in each.name] == ["signing.key"]


def test_another_installation_gets_another_key(settings: ServerSettings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert signing_key(settings) != signing_key(replace(settings, data_dir=other))


def test_a_key_of_ones_own_comes_from_the_setting_or_its_file(
    settings: ServerSettings, tmp_path: Path
) -> None:
    assert signing_key(replace(settings, signing_key=KEY.decode())) == KEY
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    file.chmod(0o600)
    assert signing_key(replace(settings, signing_key_file=file)) == KEY
    assert not (settings.home / "signing.key").exists()


@pytest.mark.parametrize("weak", ["short", "x" * 31, "a" * 64, "abababab" * 8])
def test_a_weak_key_is_refused(settings: ServerSettings, weak: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.signing_key: is too weak.*openssl rand") as refused:
        signing_key(replace(settings, signing_key=weak))
    assert weak not in str(refused.value)


def test_a_key_that_others_can_read_is_a_warning(settings: ServerSettings) -> None:
    key = signing_key(settings)
    (settings.home / "signing.key").chmod(0o644)
    with pytest.warns(ReadableByOthers, match="chmod 600"):
        assert signing_key(settings) == key
