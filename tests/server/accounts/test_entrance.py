"""The way in with a password: which account it opens, what it costs, and how often it may be tried."""

from collections.abc import AsyncIterator

import pytest

from projectw_server.accounts.acting import acting, visitor
from projectw_server.accounts.entrance import Entrance
from projectw_server.accounts.passwords import NOBODY, Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.throttle import ATTACK, FREE_FROM_ONE_ADDRESS, FREE_OF_AN_ADDRESS, Throttle
from projectw_server.accounts.users import Users
from projectw_server.db import Database
from projectw_shared.errors import Forbidden, PasswordMismatch, TooManyTries, WrongPassword
from projectw_shared.ids import new_id

ADA, PASSWORD = "ada@example.org", "violin-tangerine-moth-38"
HERE, THERE = "192.0.2.1", "198.51.100.7"


class Way:
    """The way in, for accounts of both kinds, with the hashes that were looked at."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = database
        self.passwords = Passwords(workers=1)
        self.users = Users(database, self.passwords)
        self.at = 1000.0
        self.throttle = Throttle(now=lambda: self.at)
        self.open = Entrance(database, self.passwords, self.throttle, takes_unconfirmed=True)
        self.closed = Entrance(database, self.passwords, self.throttle, takes_unconfirmed=False)
        self.checked: list[str] = []
        matches = Passwords._matches

        def spy(passwords: Passwords, secret: bytes, stored: str) -> bool:
            self.checked.append(stored)
            return matches(passwords, secret, stored)

        monkeypatch.setattr(Passwords, "_matches", spy)

    async def pending(self, password: str, email: str = ADA) -> str:
        user_id = new_id()
        await self.database.rows(
            "INSERT INTO users (id, email, unconfirmed_email, password_hash, is_admin, disabled, created_at)"
            " VALUES ($1, $1, $2, $3, FALSE, FALSE, 0)",
            user_id,
            email,
            await self.passwords.hash(password),
        )
        return user_id

    async def fails(self, email: str = ADA, password: str = "wrong horse", origin: str = HERE) -> None:
        with acting(visitor(origin, None)), pytest.raises(WrongPassword):
            await self.open.recognise(email, password)

    async def enters(self, email: str = ADA, password: str = PASSWORD, origin: str = HERE) -> str:
        with acting(visitor(origin, None)):
            return (await self.open.recognise(email, password)).user_id

    async def signed_in(self, person: Person, address: str) -> None:
        await self.database.rows(
            "INSERT INTO sessions (id, user_id, generation, created_at, expires_at, address)"
            " VALUES ($1, $2, 0, 0, 1e12, $3)",
            new_id(),
            person.id,
            address,
        )


@pytest.fixture
async def way(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Way]:
    way = Way(database, monkeypatch)
    yield way
    way.passwords.close()


async def test_an_account_that_waits_for_its_confirmation_is_opened_by_its_own_password(way: Way) -> None:
    ada = await way.users.add(ADA, PASSWORD)
    waiting = await way.pending("a stranger's password")
    assert await way.enters() == ada.id
    assert await way.enters(password="a stranger's password") == waiting


async def test_of_several_that_wait_the_newest_is_opened(way: Way) -> None:
    await way.pending("the first password")
    newest = await way.pending("the second password")
    assert await way.enters(password="the second password") == newest
    await way.fails(password="the first password")


async def test_where_nobody_signs_up_only_confirmed_accounts_are_looked_at(way: Way) -> None:
    await way.pending(PASSWORD)
    with pytest.raises(WrongPassword):
        await way.closed.recognise(ADA, PASSWORD)
    assert way.checked == [NOBODY]


@pytest.mark.parametrize(
    "known", [(), ("confirmed",), ("pending",), ("pending",) * 3, ("confirmed", "pending")]
)
async def test_a_wrong_password_costs_the_same_whatever_accounts_there_are(
    way: Way, known: tuple[str, ...]
) -> None:
    for kind in known:
        await (way.users.add(ADA, PASSWORD) if kind == "confirmed" else way.pending(PASSWORD))
    await way.fails()
    assert len(way.checked) == 2


@pytest.mark.parametrize("email", ["", "no address", "a@b\x00", "x" * 320, "\ud800@example.org"])
async def test_what_is_no_address_costs_as_much_too(way: Way, email: str) -> None:
    await way.fails(email)
    assert way.checked == [NOBODY, NOBODY]


async def test_an_account_that_is_being_erased_opens_no_more(way: Way) -> None:
    await way.users.add(ADA, PASSWORD)
    await way.database.rows("UPDATE users SET erased_at = 1")
    await way.fails(password=PASSWORD)


async def test_a_disabled_account_says_so_to_its_owner_alone(way: Way) -> None:
    await way.users.add(ADA, PASSWORD)
    await way.database.rows("UPDATE users SET disabled = TRUE")
    with pytest.raises(Forbidden, match="disabled"):
        await way.enters()
    await way.fails()


@pytest.mark.parametrize("email", [ADA, "nobody@example.org", "no address"])
async def test_too_many_wrong_passwords_are_refused_unlooked_at_whether_or_not_there_is_an_account(
    way: Way, email: str
) -> None:
    await way.users.add(ADA, PASSWORD)
    for _ in range(FREE_FROM_ONE_ADDRESS):
        await way.fails(email)
    way.checked.clear()
    with acting(visitor(HERE, None)), pytest.raises(TooManyTries, match="again in 1 s") as refused:
        await way.open.recognise(email, PASSWORD)
    assert refused.value.retry_after == 1
    assert way.checked == []
    way.at += 1
    await way.fails(email)


async def test_the_owner_comes_in_while_strangers_guess(way: Way) -> None:
    ada = await way.users.add(ADA, PASSWORD)
    for number in range(2 * ATTACK):
        way.throttle.failed(ADA, f"203.0.113.{number}")
    assert await way.enters(origin=THERE) == ada.id


async def test_who_has_signed_in_from_an_address_comes_in_whoever_else_guesses_from_there(way: Way) -> None:
    ada = await way.users.add(ADA, PASSWORD)
    await way.users.add("bob@example.org", PASSWORD)
    await way.signed_in(ada, HERE)
    for number in range(FREE_OF_AN_ADDRESS):
        way.throttle.failed(f"{number}@example.org", HERE)
    assert await way.enters() == ada.id
    with pytest.raises(TooManyTries):
        await way.enters("bob@example.org")


async def test_a_failed_try_is_noted_with_the_account_but_not_its_address(way: Way) -> None:
    ada = await way.users.add(ADA, PASSWORD)
    await way.fails()
    await way.fails("nobody@example.org")
    rows = await way.database.rows("SELECT * FROM audit WHERE action = 'login-failed' ORDER BY key")
    assert [(row["object_id"], row["address"]) for row in rows] == [(ada.id, HERE), (None, HERE)]
    assert "example.org" not in str(rows)


async def test_the_present_password_is_asked_for_as_often_as_at_the_door_and_then_no_more(way: Way) -> None:
    from dataclasses import replace

    ada = replace(await way.users.add(ADA, PASSWORD), session_id=new_id())
    await way.open.check_password(ada, PASSWORD)
    for _ in range(FREE_FROM_ONE_ADDRESS):
        with pytest.raises(PasswordMismatch):
            await way.open.check_password(ada, "wrong horse")
    way.checked.clear()
    with pytest.raises(TooManyTries):
        await way.open.check_password(ada, PASSWORD)
    assert way.checked == []
    await way.open.check_password(replace(ada, session_id=new_id()), PASSWORD)
