"""People's accounts."""

from collections.abc import Iterator

import pytest

from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.users import Users, normalised
from projectw_server.db import Database
from projectw_shared.errors import Conflict, Invalid

PASSWORD = "correct horse"


@pytest.fixture
def users(database: Database) -> Iterator[Users]:
    passwords = Passwords(workers=1)
    yield Users(database, passwords)
    passwords.close()


async def test_an_account_is_found_by_id_and_by_address(users: Users) -> None:
    ada = await users.add("ada@example.org", PASSWORD, is_admin=True)
    assert ada.is_admin
    assert await users.get(ada.id) == ada
    assert await users.find(" ADA@Example.org ") == ada
    assert await users.get("nobody") is None
    assert await users.find("bob@example.org") is None


async def test_an_address_is_one_account_however_it_is_spelt(users: Users) -> None:
    await users.add("Ada@Example.org", PASSWORD)
    with pytest.raises(Conflict, match=r"ada@example\.org already"):
        await users.add(" ada@EXAMPLE.ORG\n", PASSWORD)
    assert [person.email for person in await users.list()] == ["ada@example.org"]


async def test_the_list_has_the_oldest_first(users: Users) -> None:
    for name in ("b", "a", "c"):
        await users.add(f"{name}@example.org", PASSWORD)
    assert [person.email[0] for person in await users.list()] == ["b", "a", "c"]


async def test_the_password_is_kept_as_a_hash_only(users: Users, database: Database) -> None:
    await users.add("ada@example.org", PASSWORD)
    row = await database.row("SELECT * FROM users")
    assert row is not None
    assert row["password_hash"].startswith("$argon2id$")
    assert PASSWORD not in str(row)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "a@b@c",
        "a@.org",
        "a@b..c",
        "a@\x1b[31mx",
        "a" * 65 + "@x",
        "a@" + "b" * 254,
        "a\u202e@example.org",
        "a@example.org>",
        "a(1)@example.org",
        "a,b@example.org",
        "a@example.org;",
        '"a"@example.org',
    ],
)
async def test_what_is_no_address_is_refused_in_a_sentence_that_is_safe_to_show(address: str) -> None:
    with pytest.raises(Invalid, match=r"is no e-mail address; one looks like name@example\.org") as refused:
        normalised(address)
    assert "\x1b" not in refused.value.detail
    assert "\u202e" not in refused.value.detail


@pytest.mark.parametrize("address", ["a@b", "root@localhost", "ünal@müller.de", "a+b.c_d@x.example.org"])
def test_plausible_addresses_are_taken(address: str) -> None:
    assert normalised(address) == address


async def test_a_short_password_makes_no_account(users: Users) -> None:
    with pytest.raises(Invalid):
        await users.add("ada@example.org", "short")
    assert await users.list() == []
