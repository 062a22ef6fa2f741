"""Signing up, confirming, resetting: who ends up with an address, and what ends with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from msgspec.structs import replace

from projectw_server.accounts.acting import acting, visitor
from projectw_server.accounts.confirming import (
    CHANGES_AN_HOUR,
    MOST_PENDING,
    WISHES_AN_HOUR,
    Confirming,
)
from projectw_server.accounts.issuing import issue, show_code
from projectw_server.accounts.outbox import Purpose
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.principals import Person
from projectw_server.accounts.strength import Strength
from projectw_server.accounts.users import Users
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotOpen,
    TooManyRequests,
    WeakPassword,
    WrongToken,
)
from projectw_shared.ids import new_id

ADA, BOB = "ada@example.org", "bob@example.org"
PASSWORD, ANOTHER = "violin-tangerine-moth-38", "cobalt-anchor-pillow-92"
HOUR, DAY = 3600.0, 86_400.0


class Desk:
    """The service with a clock that can be moved, and codes as a mail would bring them."""

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self.shift = 0.0
        self.database = database
        self.settings = settings
        self.passwords = Passwords(workers=1)
        self.strength = Strength(3)
        self.users = Users(database, self.passwords)
        self.service = self.with_settings(signup="open")

    def with_settings(self, **changes: Any) -> Confirming:
        settings = replace(self.settings, **changes)
        return Confirming(self.database, settings, self.passwords, self.strength, now=self.now)

    def now(self) -> float:
        return time.time() + self.shift

    async def sign_up(self, email: str = ADA, password: str = PASSWORD) -> str:
        """Return the id of the account that this makes."""
        await self.service.sign_up(email, password)
        row = await self.database.row("SELECT id FROM users ORDER BY id DESC LIMIT 1")
        assert row is not None
        return str(row["id"])

    async def code(self, user_id: str, email: str = ADA, purpose: Purpose = Purpose.CONFIRM) -> str:
        return await self.database.transaction(
            lambda transaction: issue(transaction, purpose, user_id, email, self.now())
        )

    async def user(self, user_id: str) -> dict[str, Any] | None:
        return await self.database.row("SELECT * FROM users WHERE id = $1", user_id)

    async def count(self, table: str) -> int:
        row = await self.database.row(f"SELECT count(*) AS n FROM {table}")
        assert row is not None
        return int(row["n"])

    async def begin(self, user_id: str) -> str:
        """Sign in, and make an API token."""
        session_id = new_id()
        await self.database.rows(
            "INSERT INTO sessions (id, user_id, generation, created_at, expires_at) VALUES ($1, $2, 0, 0, 1e12)",
            session_id,
            user_id,
        )
        await self.database.rows(
            "INSERT INTO api_tokens (id, user_id, name, scope, token_hash, created_at)"
            " VALUES ($1, $2, 'x', 'read', $1, 0)",
            new_id(),
            user_id,
        )
        return session_id

    async def changing(self) -> Person:
        """Return somebody with the address of Ada, who is to have that of Bob."""
        ada = await self.users.add(ADA, PASSWORD)
        await self.database.rows("UPDATE users SET unconfirmed_email = $1 WHERE id = $2", BOB, ada.id)
        return ada


@pytest.fixture
async def desk(database: Database, settings: ServerSettings) -> AsyncIterator[Desk]:
    desk = Desk(database, settings)
    yield desk
    desk.passwords.close()
    desk.strength.close()


async def refused(work: Awaitable[object]) -> None:
    with pytest.raises(WrongToken) as error:
        await work
    assert error.value.detail == WrongToken.title


async def test_a_sign_up_waits_under_its_own_id_until_the_code_comes(desk: Desk) -> None:
    user_id = await desk.sign_up(" ADA@Example.org ")
    waiting = await desk.user(user_id)
    assert waiting is not None
    assert (waiting["email"], waiting["unconfirmed_email"]) == (user_id, ADA)
    assert waiting["password_hash"].startswith("$argon2id$")
    await desk.service.activate(await desk.code(user_id))
    confirmed = await desk.user(user_id)
    assert confirmed is not None
    assert (confirmed["email"], confirmed["unconfirmed_email"]) == (ADA, None)


async def test_a_sign_up_says_and_does_the_same_whether_or_not_the_address_is_taken(desk: Desk) -> None:
    await desk.users.add(ADA, PASSWORD)
    for email in (ADA, BOB):
        await desk.service.sign_up(email, PASSWORD)
    rows = await desk.database.rows("SELECT purpose, email FROM mails ORDER BY email")
    assert [(row["purpose"], row["email"]) for row in rows] == [("confirm", ADA), ("confirm", BOB)]
    assert await desk.count("users") == 3


async def test_nobody_who_has_no_code_gets_an_address(desk: Desk) -> None:
    await desk.sign_up()
    for code in ("", "pwm_", "pwm_0000-0000-0000-0000-0000-0000-0000", "\x00", "\ud800", "x" * 2000):
        await refused(desk.service.activate(code))
        await refused(desk.service.reset(code, ANOTHER))


async def test_a_code_is_good_once(desk: Desk) -> None:
    code = await desk.code(await desk.sign_up())
    await desk.service.activate(code)
    await refused(desk.service.activate(code))


async def test_a_code_that_comes_twice_at_once_is_good_once(desk: Desk) -> None:
    code = await desk.code(await desk.sign_up())
    done = await asyncio.gather(*(desk.service.activate(code) for _ in range(5)), return_exceptions=True)
    assert sorted(map(str, done)) == sorted(["None", *[WrongToken.title] * 4])


async def test_a_code_runs_out(desk: Desk) -> None:
    user_id = await desk.sign_up()
    code, reset = await desk.code(user_id), await desk.code(user_id, purpose=Purpose.RESET)
    desk.shift = HOUR + 1
    await refused(desk.service.reset(reset, ANOTHER))
    desk.shift = DAY + 1
    await refused(desk.service.activate(code))


async def test_a_code_for_one_purpose_is_none_for_another(desk: Desk) -> None:
    user_id = await desk.sign_up()
    await refused(desk.service.activate(await desk.code(user_id, purpose=Purpose.RESET)))
    await refused(desk.service.reset(await desk.code(user_id, purpose=Purpose.CONFIRM), ANOTHER))
    await desk.service.activate(await desk.code(user_id))
    await refused(desk.service.activate(await desk.code(user_id, BOB, Purpose.CONFIRM)))


async def test_a_code_for_an_address_confirms_no_other(desk: Desk) -> None:
    await refused(desk.service.activate(await desk.code(await desk.sign_up(), BOB)))
    ada = await desk.changing()
    code = await desk.code(ada.id, BOB, Purpose.NEW_ADDRESS)
    await desk.database.rows("UPDATE users SET unconfirmed_email = 'carol@example.org' WHERE id = $1", ada.id)
    await refused(desk.service.activate(code))


async def test_the_first_to_confirm_an_address_has_it_and_the_others_are_gone(desk: Desk) -> None:
    first, second = await desk.sign_up(), await desk.sign_up(password=ANOTHER)
    code = await desk.code(first)
    await desk.service.activate(await desk.code(second))
    assert await desk.user(first) is None
    await refused(desk.service.activate(code))


async def test_an_address_that_was_confirmed_meanwhile_is_not_given_to_another(desk: Desk) -> None:
    code = await desk.code(await desk.sign_up())
    owner = await desk.users.add(ADA, ANOTHER)
    await refused(desk.service.activate(code))
    kept = await desk.user(owner.id)
    assert kept is not None
    assert kept["email"] == ADA


async def test_two_who_confirm_an_address_at_once_do_not_both_have_it(desk: Desk) -> None:
    codes = [await desk.code(await desk.sign_up()) for _ in range(MOST_PENDING)]
    done = await asyncio.gather(*map(desk.service.activate, codes), return_exceptions=True)
    assert sum(each is None for each in done) == 1
    row = await desk.database.row("SELECT count(*) AS n FROM users WHERE email = $1", ADA)
    assert row == {"n": 1}


async def test_signing_up_again_and_again_keeps_nobody_out(desk: Desk) -> None:
    strangers = [await desk.sign_up() for _ in range(MOST_PENDING + 2)]
    owner = await desk.sign_up(password=ANOTHER)
    assert await desk.count("users") == MOST_PENDING
    assert await desk.user(strangers[0]) is None
    await desk.service.activate(await desk.code(owner))


async def test_signing_up_does_not_undo_a_reset_that_was_asked_for_by_mail(desk: Desk) -> None:
    owner = await desk.sign_up()
    code = await desk.code(owner, purpose=Purpose.RESET)
    for _ in range(MOST_PENDING + 2):
        await desk.sign_up()
    await desk.service.reset(code, ANOTHER)
    rows = await desk.database.rows("SELECT id, email FROM users")
    assert rows == [{"id": owner, "email": ADA}]


async def test_accounts_that_nobody_confirmed_go_after_a_day_with_their_sign_ins(desk: Desk) -> None:
    waiting, kept = await desk.sign_up(), await desk.changing()
    await desk.begin(waiting)
    await desk.code(waiting)
    await desk.service.forget_old()
    assert await desk.user(waiting)
    desk.shift = DAY + 1
    await desk.service.forget_old()
    assert await desk.user(waiting) is None
    assert await desk.user(kept.id)
    assert (await desk.count("sessions"), await desk.count("mail_tokens")) == (0, 0)


async def test_a_reset_sets_the_password_and_ends_everything_that_was_open(desk: Desk) -> None:
    ada, bob = await desk.users.add(ADA, PASSWORD), await desk.users.add(BOB, PASSWORD)
    await desk.begin(ada.id)
    of_bob = await desk.begin(bob.id)
    code = await desk.code(ada.id, purpose=Purpose.RESET)
    await desk.service.reset(code, ANOTHER)
    row = await desk.user(ada.id)
    assert row is not None
    assert await desk.passwords.verify(ANOTHER, row["password_hash"])
    sessions = await desk.database.rows("SELECT id FROM sessions")
    assert [each["id"] for each in sessions] == [of_bob]
    assert await desk.count("api_tokens") == 1
    assert await desk.count("mail_tokens") == 0
    mails = await desk.database.rows("SELECT purpose, email FROM mails")
    assert mails == [{"purpose": "password", "email": ADA}]
    await refused(desk.service.reset(code, PASSWORD))


async def test_a_reset_of_an_account_that_waits_confirms_its_address(desk: Desk) -> None:
    user_id, other = await desk.sign_up(), await desk.sign_up()
    await desk.service.reset(await desk.code(user_id, purpose=Purpose.RESET), ANOTHER)
    row = await desk.user(user_id)
    assert row is not None
    assert (row["email"], row["unconfirmed_email"]) == (ADA, None)
    assert await desk.user(other) is None


async def test_a_reset_of_an_account_that_waits_changes_nothing_once_the_address_is_somebody_elses(
    desk: Desk,
) -> None:
    user_id = await desk.sign_up()
    code = await desk.code(user_id, purpose=Purpose.RESET)
    await desk.users.add(ADA, PASSWORD)
    before = await desk.user(user_id)
    await refused(desk.service.reset(code, ANOTHER))
    assert await desk.user(user_id) == before


async def test_a_weak_password_does_not_use_up_the_code(desk: Desk) -> None:
    ada = await desk.users.add(ADA, PASSWORD)
    code = await desk.code(ada.id, purpose=Purpose.RESET)
    for weak in ("ada@example.org", "password1"):
        with pytest.raises(WeakPassword):
            await desk.service.reset(code, weak)
    with pytest.raises(Invalid):
        await desk.service.reset(code, "short")
    await desk.service.reset(code, ANOTHER)


async def test_a_wrong_code_for_a_reset_costs_no_hash(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Passwords, "hash")
    await refused(desk.service.reset("pwm_0000-0000-0000-0000-0000-0000-0000", ANOTHER))


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_change_of_address_ends_every_sign_in_but_the_one_that_confirms_it(
    desk: Desk, keeps: bool
) -> None:
    ada = await desk.changing()
    own, _ = await desk.begin(ada.id), await desk.begin(ada.id)
    await desk.service.activate(await desk.code(ada.id, BOB, Purpose.NEW_ADDRESS), own if keeps else None)
    row = await desk.user(ada.id)
    assert row is not None
    assert (row["email"], row["unconfirmed_email"]) == (BOB, None)
    sessions = await desk.database.rows("SELECT id FROM sessions")
    assert [each["id"] for each in sessions] == ([own] if keeps else [])
    assert await desk.count("api_tokens") == 2, "what runs for its owner goes on"
    mails = await desk.database.rows("SELECT purpose, email FROM mails")
    assert mails == [{"purpose": "changed", "email": ADA}]


async def test_a_sign_in_of_somebody_else_is_not_kept_by_confirming_with_it(desk: Desk) -> None:
    ada = await desk.changing()
    carol = await desk.users.add("carol@example.org", PASSWORD)
    await desk.begin(ada.id)
    of_carol = await desk.begin(carol.id)
    await desk.service.activate(await desk.code(ada.id, BOB, Purpose.NEW_ADDRESS), of_carol)
    sessions = await desk.database.rows("SELECT id FROM sessions")
    assert [each["id"] for each in sessions] == [of_carol]


async def test_an_address_that_somebody_confirmed_meanwhile_does_not_become_the_next_one(desk: Desk) -> None:
    ada = await desk.changing()
    code = await desk.code(ada.id, BOB, Purpose.NEW_ADDRESS)
    await desk.users.add(BOB, PASSWORD)
    await refused(desk.service.activate(code))


async def test_an_account_that_is_being_erased_confirms_nothing(desk: Desk) -> None:
    user_id = await desk.sign_up()
    ada = await desk.users.add(BOB, PASSWORD)
    codes = await desk.code(user_id), await desk.code(ada.id, BOB, Purpose.RESET)
    await desk.database.rows("UPDATE users SET erased_at = 1")
    await refused(desk.service.activate(codes[0]))
    await refused(desk.service.reset(codes[1], ANOTHER))


async def test_signing_up_can_be_closed_and_is_by_default(desk: Desk) -> None:
    with pytest.raises(NotOpen, match="people who run this server"):
        await desk.with_settings().sign_up(ADA, PASSWORD)
    assert await desk.count("users") == 0


async def test_signing_up_can_be_for_some_domains_alone(desk: Desk) -> None:
    service = desk.with_settings(signup="open", allowed_email_domains=["example.org"])
    await service.sign_up(ADA, PASSWORD)
    for other in ("ada@example.org.evil.com", "ada@sub.example.org"):
        with pytest.raises(NotOpen, match=r"Addresses of example\.org may sign up here, and no others"):
            await service.sign_up(other, PASSWORD)
    with pytest.raises(Invalid):
        await service.sign_up("a@b@example.org", PASSWORD)
    assert await desk.count("users") == 1


async def test_an_address_of_another_domain_cannot_be_the_next_one_either(desk: Desk) -> None:
    service = desk.with_settings(signup="open", allowed_email_domains=["example.org"])
    ada = await desk.users.add(ADA, PASSWORD)
    service.check_change(ada, BOB)
    with pytest.raises(NotOpen):
        service.check_change(ada, "ada@evil.com")


async def test_a_weak_password_makes_no_account(desk: Desk) -> None:
    with pytest.raises(WeakPassword):
        await desk.service.sign_up(ADA, "password1")
    assert (await desk.count("users"), await desk.count("mails")) == (0, 0)


async def test_one_address_of_the_network_signs_up_and_resets_so_often_an_hour(desk: Desk) -> None:
    with acting(visitor("192.0.2.1", None)):
        for _ in range(WISHES_AN_HOUR):
            await desk.service.ask_reset(ADA)
        with pytest.raises(TooManyRequests) as refusal:
            await desk.service.ask_reset(BOB)
        assert refusal.value.retry_after
        await desk.service.sign_up(ADA, PASSWORD)
    with acting(visitor("198.51.100.7", None)):
        await desk.service.ask_reset(ADA)


async def test_a_person_asks_for_so_many_codes_for_other_addresses_an_hour(desk: Desk) -> None:
    ada = await desk.users.add(ADA, PASSWORD)
    for number in range(CHANGES_AN_HOUR):
        desk.service.check_change(ada, f"{number}@example.org")
    with pytest.raises(TooManyRequests):
        desk.service.check_change(ada, "another@example.org")


async def test_another_code_is_sent_to_the_address_that_waits(desk: Desk) -> None:
    user_id = await desk.sign_up()
    await desk.database.rows("DELETE FROM mails")
    waiting = Person(user_id, ADA, False, 0.0, confirmed=False, unconfirmed_email=ADA)
    await desk.service.resend(waiting)
    await desk.service.resend(Person(user_id, ADA, False, 0.0, unconfirmed_email=BOB))
    rows = await desk.database.rows("SELECT purpose, email, subject_id FROM mails ORDER BY purpose")
    assert [tuple(row.values()) for row in rows] == [("confirm", ADA, user_id), ("new-address", BOB, user_id)]
    with pytest.raises(Conflict, match="no address that waits"):
        await desk.service.resend(Person(user_id, ADA, False, 0.0))


async def test_the_operator_is_shown_codes_that_do_what_those_in_mails_do(desk: Desk) -> None:
    await desk.sign_up()
    await desk.service.activate(await show_code(desk.database, ADA, Purpose.CONFIRM))
    await desk.service.reset(await show_code(desk.database, " ADA@example.org", Purpose.RESET), ANOTHER)
    await desk.database.rows("UPDATE users SET unconfirmed_email = $1", BOB)
    await desk.service.activate(await show_code(desk.database, BOB, Purpose.CONFIRM))
    rows = await desk.database.rows(
        "SELECT actor_kind, details FROM audit WHERE action = 'code-shown' ORDER BY key"
    )
    assert [row["actor_kind"] for row in rows] == ["operator"] * 3
    for purpose, row in zip(("confirm", "reset", "new-address"), rows, strict=True):
        assert f'"{purpose}"' in row["details"]


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.RESET])
async def test_the_operator_is_told_when_there_is_nothing_to_show_a_code_for(
    desk: Desk, purpose: Purpose
) -> None:
    with pytest.raises(NotFound, match=r"ada@example\.org has no account"):
        await show_code(desk.database, ADA, purpose)


async def test_no_code_and_no_password_ever_stands_in_the_database(desk: Desk) -> None:
    code = await desk.code(await desk.sign_up())
    for table in ("users", "mails", "mail_tokens", "audit"):
        shown = str(await desk.database.rows(f"SELECT * FROM {table}"))
        assert PASSWORD not in shown
        assert code[4:] not in shown
        assert code[4:].replace("-", "") not in shown
