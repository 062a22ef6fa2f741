"""The mail room: what is sent, when it is tried again, who gets what, and what the log may say of it."""

import asyncio
from collections.abc import AsyncIterator
from email.message import EmailMessage

import pytest
import structlog
from structlog.testing import capture_logs

from projectw_server.accounts.codes import digest
from projectw_server.accounts.confirming import Confirming
from projectw_server.accounts.mail.drafting import CODES_AN_HOUR, Drafting
from projectw_server.accounts.mail.due import WAITS, Due, Mail
from projectw_server.accounts.mail.letters import Letter, Letters
from projectw_server.accounts.mail.room import MailRoom
from projectw_server.accounts.mail.transport import NotSent, Transport
from projectw_server.accounts.outbox import Purpose, post
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.strength import Strength
from projectw_server.accounts.users import Users
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared.ids import new_id

ADA, BOB, PASSWORD = "ada@example.org", "bob@example.org", "violin-tangerine-moth-38"
HOUR, DAY = 3600.0, 86_400.0


class Taken:
    """Takes letters in place of a mail server; ``wrong`` is raised instead."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.wrong: NotSent | None = None
        self.slow = False

    async def send(self, message: EmailMessage, recipient: str) -> None:
        if self.slow:
            await asyncio.sleep(3600)
        if self.wrong is not None:
            raise self.wrong
        self.letters.append(message)
        self.recipients.append(recipient)

    @property
    def subjects(self) -> list[str]:
        return [str(letter["Subject"]).split(" ")[0] for letter in self.letters]

    def code(self, number: int = -1) -> str:
        return next(word for word in self.letters[number].get_content().split() if word.startswith("pwm_"))


class Office:
    """A mail room over a database, with a clock that can be moved, and those who make work for it."""

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        import time

        self.shift = 0.0
        self._time = time.time
        self.database = database
        self.taken = Taken()
        self.passwords = Passwords(workers=1)
        self.strength = Strength(0)
        self.users = Users(database, self.passwords)
        self.confirming = Confirming(database, settings, self.passwords, self.strength, now=self.now)
        self.room = self.another_room()

    def now(self) -> float:
        return self._time() + self.shift

    def another_room(self) -> MailRoom:
        from email.headerregistry import Address

        sender = Address("", "projectw", "example.org")
        drafting = Drafting(self.database, now=self.now)
        letters = Letters(sender, "Project W", None)
        transport: Transport = self.taken  # type: ignore[assignment]  # all that is used of one
        return MailRoom(Due(self.database, now=self.now), drafting, letters, transport, now=self.now)

    async def count(self, table: str = "mails") -> int:
        row = await self.database.row(f"SELECT count(*) AS n FROM {table}")
        assert row is not None
        return int(row["n"])

    async def mail(self, purpose: Purpose, email: str, subject_id: str | None = None) -> None:
        await post(self.database, purpose, email, subject_id)


@pytest.fixture
async def office(database: Database, settings: ServerSettings) -> AsyncIterator[Office]:
    from msgspec.structs import replace

    office = Office(database, replace(settings, signup="open"))
    yield office
    office.passwords.close()
    office.strength.close()


async def test_a_sign_up_brings_a_code_of_which_the_database_knows_the_hash_alone(office: Office) -> None:
    await office.confirming.sign_up(ADA, PASSWORD)
    assert await office.count("mail_tokens") == 0, "it is made when it is sent"
    await office.room.send_due()
    assert office.taken.recipients == [ADA]
    row = await office.database.row("SELECT * FROM mail_tokens")
    assert row is not None
    assert row["token_hash"] == digest(office.taken.code())
    assert (row["purpose"], row["email"]) == ("confirm", ADA)
    assert row["expires_at"] - office.now() == pytest.approx(DAY, abs=60)
    assert await office.count() == 0


async def test_nothing_is_sent_twice(office: Office) -> None:
    await office.confirming.sign_up(ADA, PASSWORD)
    for _ in range(3):
        await office.room.send_due()
    assert len(office.taken.letters) == 1


async def test_of_several_servers_one_sends_it(office: Office) -> None:
    for number in range(12):
        await office.confirming.sign_up(f"{number}@example.org", PASSWORD)
    rooms = [office.another_room() for _ in range(3)]
    await asyncio.gather(*(room.send_due() for room in rooms))
    assert sorted(office.taken.recipients) == sorted(f"{number}@example.org" for number in range(12))


async def test_an_address_that_has_an_account_is_told_so_once_a_day_and_gets_no_code(office: Office) -> None:
    await office.users.add(ADA, PASSWORD)
    for _ in range(3):
        await office.confirming.sign_up(ADA, PASSWORD)
    await office.room.send_due()
    assert office.taken.subjects == ["You"]
    assert "You have an account" in office.taken.letters[0]["Subject"]
    assert "pwm_" not in office.taken.letters[0].get_content()
    assert await office.count() == 0
    assert await office.count("mail_tokens") == 0


async def test_a_reset_brings_a_code_for_an_hour(office: Office) -> None:
    ada = await office.users.add(ADA, PASSWORD)
    await office.confirming.ask_reset(" ADA@example.org ")
    await office.room.send_due()
    row = await office.database.row("SELECT * FROM mail_tokens")
    assert row is not None
    assert (row["user_id"], row["purpose"], row["token_hash"]) == (
        ada.id,
        "reset",
        digest(office.taken.code()),
    )
    assert row["expires_at"] - office.now() == pytest.approx(HOUR, abs=60)


async def test_a_reset_for_an_address_that_nobody_knows_sends_nothing(office: Office) -> None:
    await office.confirming.ask_reset(ADA)
    await office.room.send_due()
    assert office.taken.letters == []
    assert await office.count() == 0


async def test_a_reset_for_an_account_that_waits_is_for_the_newest_and_says_that_it_confirms_too(
    office: Office,
) -> None:
    await office.confirming.sign_up(ADA, PASSWORD)
    await office.confirming.sign_up(ADA, PASSWORD)
    newest = await office.database.row("SELECT id FROM users ORDER BY id DESC LIMIT 1")
    await office.database.rows("DELETE FROM mails")
    await office.confirming.ask_reset(ADA)
    await office.room.send_due()
    row = await office.database.row("SELECT user_id FROM mail_tokens")
    assert row is not None and newest is not None
    assert row["user_id"] == newest["id"]
    assert "was not confirmed yet" in office.taken.letters[0].get_content()


async def test_a_newer_code_takes_the_place_of_the_older_one(office: Office) -> None:
    await office.users.add(ADA, PASSWORD)
    for _ in range(2):
        await office.confirming.ask_reset(ADA)
        await office.room.send_due()
    row = await office.database.row("SELECT token_hash FROM mail_tokens")
    assert row is not None
    assert row["token_hash"] == digest(office.taken.code(-1))
    assert office.taken.code(0) != office.taken.code(1)
    assert await office.count("mail_tokens") == 1


async def test_a_letter_that_is_not_taken_is_tried_again_after_longer_and_longer_with_another_code(
    office: Office,
) -> None:
    await office.users.add(ADA, PASSWORD)
    await office.confirming.sign_up(BOB, PASSWORD)
    office.taken.wrong = NotSent("SMTPConnectError")
    await office.room.send_due()
    first = await office.database.row("SELECT token_hash FROM mail_tokens")
    for wait in WAITS[:4]:
        office.shift += wait - 5
        row = await office.database.row("SELECT tries FROM mails")
        await office.room.send_due()
        assert row == await office.database.row("SELECT tries FROM mails"), "it waits"
        office.shift += 6
        await office.room.send_due()
    office.taken.wrong = None
    office.shift += WAITS[4] + 1
    await office.room.send_due()
    assert office.taken.recipients == [BOB]
    assert first is not None
    assert first["token_hash"] != digest(office.taken.code())
    assert await office.count() == 0


async def test_a_letter_that_is_worth_nothing_any_more_is_given_up(office: Office) -> None:
    await office.users.add(ADA, PASSWORD)
    await office.confirming.ask_reset(ADA)
    office.taken.wrong = NotSent("SMTPConnectError")
    await office.room.send_due()
    office.taken.wrong = None
    office.shift += HOUR
    await office.room.send_due()
    assert office.taken.letters == []
    assert await office.count() == 0


async def test_a_recipient_that_the_mail_server_refuses_for_good_is_not_tried_again(office: Office) -> None:
    await office.confirming.sign_up(ADA, PASSWORD)
    office.taken.wrong = NotSent("refused with 550", is_final=True)
    await office.room.send_due()
    assert await office.count() == 0


async def test_a_server_that_dies_while_it_sends_leaves_the_mail_for_another(office: Office) -> None:
    await office.confirming.sign_up(ADA, PASSWORD)
    office.taken.slow = True
    dying = asyncio.create_task(office.room.send_due())
    async with asyncio.timeout(10):
        while await office.count("mail_tokens") == 0:
            await asyncio.sleep(0.005)
    dying.cancel()
    await asyncio.wait([dying])
    office.taken.slow = False
    office.shift += WAITS[0] + 1
    await office.another_room().send_due()
    assert office.taken.recipients == [ADA]


async def test_nobody_can_flood_a_mailbox_and_the_last_code_outlives_the_pause(office: Office) -> None:
    await office.users.add(ADA, PASSWORD)
    for _ in range(CODES_AN_HOUR + 20):
        await office.confirming.ask_reset(ADA)
    await office.room.send_due()
    assert len(office.taken.letters) == CODES_AN_HOUR
    row = await office.database.row("SELECT token_hash, expires_at FROM mail_tokens")
    assert row is not None
    known = {digest(office.taken.code(number)) for number in range(CODES_AN_HOUR)}
    assert row["token_hash"] in known, "what was put off has not undone it"
    assert row["expires_at"] > office.now() + HOUR - 60
    await office.confirming.sign_up(BOB, PASSWORD)
    await office.room.send_due()
    assert office.taken.recipients[-1] == BOB, "others get theirs"


async def test_unknown_addresses_use_up_nothing(office: Office) -> None:
    for _ in range(CODES_AN_HOUR + 3):
        await office.confirming.ask_reset(ADA)
    await office.room.send_due()
    await office.users.add(ADA, PASSWORD)
    await office.confirming.ask_reset(ADA)
    await office.room.send_due()
    assert office.taken.recipients == [ADA]


async def test_a_code_for_a_next_address_goes_there_unless_somebody_has_it(office: Office) -> None:
    ada = await office.users.add(ADA, PASSWORD)
    await office.database.rows("UPDATE users SET unconfirmed_email = $1 WHERE id = $2", BOB, ada.id)
    await office.mail(Purpose.NEW_ADDRESS, BOB, ada.id)
    await office.room.send_due()
    assert office.taken.recipients == [BOB]
    assert office.taken.code()
    await office.users.add(BOB, PASSWORD)
    await office.mail(Purpose.NEW_ADDRESS, BOB, ada.id)
    await office.room.send_due()
    assert "You have an account" in office.taken.letters[-1]["Subject"]


async def test_a_mail_about_an_account_that_is_gone_is_not_sent(office: Office) -> None:
    await office.mail(Purpose.CONFIRM, ADA, new_id())
    await office.mail(Purpose.NEW_ADDRESS, ADA, new_id())
    await office.mail(Purpose.DISCLOSED, ADA, new_id())
    await office.room.send_due()
    assert office.taken.letters == []
    assert await office.count() == 0


async def test_what_only_tells_is_sent_to_the_address_that_is_told(office: Office) -> None:
    ada = await office.users.add(ADA, PASSWORD)
    await office.mail(Purpose.CHANGED_PASSWORD, ADA, ada.id)
    await office.mail(Purpose.CHANGED_ADDRESS, BOB, ada.id)
    await office.room.send_due()
    assert sorted(office.taken.recipients) == [ADA, BOB]


async def test_an_owner_is_told_who_has_read_a_transcript_and_why(office: Office) -> None:
    ada, root = await office.users.add(ADA, PASSWORD), await office.users.add("root@example.org", PASSWORD)
    disclosure = new_id()
    await office.database.rows(
        "INSERT INTO disclosures (id, owner_id, job_id, admin_id, reason, at) VALUES ($1, $2, $3, $4, $5, $6)",
        disclosure, ada.id, new_id(), root.id, "A complaint by those heard in it", office.now(),
    )  # fmt: skip
    await office.mail(Purpose.DISCLOSED, ADA, disclosure)
    await office.room.send_due()
    text = office.taken.letters[0].get_content()
    assert "A complaint by those heard in it" in text
    assert "root@example.org" in text


async def test_without_a_mail_server_codes_wait_for_the_operator_and_notices_are_dropped(
    office: Office,
) -> None:
    room = MailRoom(Due(office.database), Drafting(office.database), None, None)
    await office.confirming.sign_up(ADA, PASSWORD)
    await office.confirming.ask_reset(ADA)
    await office.mail(Purpose.CHANGED_PASSWORD, ADA, new_id())
    await room.send_due()
    rows = await office.database.rows("SELECT purpose FROM mails ORDER BY purpose")
    assert [row["purpose"] for row in rows] == ["confirm", "reset"]
    office.shift += HOUR + 1
    await office.confirming.forget_old()
    rows = await office.database.rows("SELECT purpose FROM mails")
    assert [row["purpose"] for row in rows] == ["confirm"]
    office.shift += DAY
    await office.confirming.forget_old()
    assert await office.count() == 0


async def test_the_log_has_a_line_for_each_mail_without_address_and_code(office: Office) -> None:
    structlog.reset_defaults()
    await office.users.add(ADA, PASSWORD)
    await office.confirming.ask_reset(ADA)
    await office.confirming.sign_up(BOB, PASSWORD)
    with capture_logs() as told:
        await office.room.send_due()
        office.taken.wrong = NotSent("refused with 550", is_final=True)
        await office.confirming.ask_reset(ADA)
        await office.room.send_due()
    lines = [line for line in told if line["log_level"] != "debug"]
    assert [line["event"] for line in lines] == ["mail dealt with", "mail dealt with", "mail not sent"]
    assert {line["purpose"] for line in lines} == {"reset", "confirm"}
    assert all(len(line["mail"]) == 36 for line in lines)
    shown = str(told).lower()
    assert "ada" not in shown
    assert "bob" not in shown
    assert "pwm_" not in shown


async def test_one_mail_that_cannot_be_written_does_not_keep_back_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = Drafting.draft

    async def broken(self: Drafting, mail: Mail) -> Letter | None:
        if mail.email == ADA:
            raise RuntimeError(f"{mail.email} is broken")
        return await draft(self, mail)

    monkeypatch.setattr(Drafting, "draft", broken)
    await office.confirming.sign_up(ADA, PASSWORD)
    await office.confirming.sign_up(BOB, PASSWORD)
    with capture_logs() as told:
        await office.room.send_due()
    assert office.taken.recipients == [BOB]
    assert await office.count() == 1
    assert ADA not in str(told)


async def test_a_mail_for_a_purpose_of_a_newer_server_is_left_to_that(office: Office) -> None:
    await office.database.rows(
        "INSERT INTO mails (id, purpose, email, tries, due_at, created_at) VALUES ('x', 'new', $1, 0, 0, 0)",
        ADA,
    )
    await office.room.send_due()
    assert await office.count() == 1


async def test_the_room_goes_on_whatever_goes_wrong(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from projectw_server.accounts.mail import room as module

    monkeypatch.setattr(module, "LOOKED_EVERY", 0.001)
    await office.confirming.sign_up(ADA, PASSWORD)
    is_any, failures = Due.is_any, [RuntimeError(f"{ADA} is broken")]

    async def broken(self: Due) -> bool:
        if failures:
            raise failures.pop()
        return await is_any(self)

    monkeypatch.setattr(Due, "is_any", broken)
    with capture_logs() as told:
        task = asyncio.create_task(office.room.run())
        async with asyncio.timeout(10):
            while not office.taken.letters:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
    assert told[0]["reason"] == "RuntimeError"
    assert ADA not in str(told)
