"""What mails say, and what their headers cannot be made to say."""

from email.headerregistry import Address

import pytest

from projectw_server.accounts.codes import new_code
from projectw_server.accounts.mail.letters import Letter, Letters, Unwritable
from projectw_server.accounts.outbox import Purpose

CODE = new_code()
VALUES = {
    "asked_at": "2026-11-25 20:13",
    "hours": 24,
    "unconfirmed": True,
    "reason": "A complaint about what was said",
    "file_name": "talk.wav",
    "admin": "root@example.org",
}
NAMES = [*(purpose.value for purpose in Purpose), "taken"]


@pytest.fixture
def letters() -> Letters:
    sender = Address("Project W", "projectw", "example.org")
    return Letters(sender, "The Archive", "https://projectw.example.org")


@pytest.mark.parametrize("name", NAMES)
def test_every_letter_is_short_lined_plain_text_that_machines_do_not_answer(
    letters: Letters, name: str
) -> None:
    message = letters.write(Letter(name, "ada@example.net", VALUES, CODE), "id.1")
    assert message.get_content_type() == "text/plain"
    assert message["From"] == "Project W <projectw@example.org>"
    assert message["To"] == "ada@example.net"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<id.1@example.org>"
    assert message["Date"].datetime.tzinfo is not None
    assert "The Archive" in message["Subject"]
    text = message.get_content()
    long = [line for line in text.splitlines() if len(line) > 76]
    assert all(line.startswith("    projectw ") for line in long), (
        "only what is to be pasted is one long line"
    )
    assert "{" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.NEW_ADDRESS, Purpose.RESET])
def test_a_letter_with_a_code_says_what_to_do_with_it_and_that_nothing_needs_to_be_done(
    letters: Letters, purpose: Purpose
) -> None:
    text = letters.write(Letter(purpose.value, "ada@example.net", VALUES, CODE), "id.1").get_content()
    assert f"\n    {CODE}\n" in text
    assert "on the command line:" in " ".join(text.split()).lower()
    assert "projectw --server https://projectw.example.org" in text
    assert "In the terminal application" in text
    assert "nothing needs to be done" in text


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.NEW_ADDRESS])
def test_a_code_is_activated_with_a_command_that_can_be_pasted(letters: Letters, purpose: Purpose) -> None:
    text = letters.write(Letter(purpose.value, "ada@example.net", VALUES, CODE), "id.1").get_content()
    assert f"    projectw --server https://projectw.example.org activate {CODE}\n" in text


def test_without_a_public_address_the_command_goes_without_it() -> None:
    letters = Letters(Address("", "projectw", "example.org"), "Project W", None)
    text = letters.write(Letter("confirm", "ada@example.net", VALUES, CODE), "id.1").get_content()
    assert f"    projectw activate {CODE}\n" in text


def test_nothing_that_a_person_wrote_can_add_a_header_a_line_or_a_code(letters: Letters) -> None:
    evil = "x\r\nBcc: victim@example.net\r\n\r\n{{ code }} <b>\x1b[31m\u202e"
    values = {**VALUES, "reason": evil, "file_name": evil, "admin": evil}
    message = letters.write(Letter("disclosed", "ada@example.net", values, CODE), "id.1")
    raw = message.as_bytes()
    assert message["Bcc"] is None
    assert b"\nBcc:" not in raw
    assert CODE not in message.get_content()
    assert "\x1b" not in message.get_content()
    assert "\u202e" not in message.get_content()


def test_the_name_of_the_installation_can_add_no_header() -> None:
    letters = Letters(Address("", "projectw", "example.org"), "Evil\r\nBcc: victim@example.net", None)
    message = letters.write(Letter("confirm", "ada@example.net", VALUES, CODE), "id.1")
    assert "Bcc" not in message
    assert b"\nBcc:" not in message.as_bytes()


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("a,b@example.net", '"a,b"@example.net'),
        ("a<victim@example.net", '"a<victim"@example.net'),
        ("a;b@example.net", '"a;b"@example.net'),
        ('a"b@example.net', '"a\\"b"@example.net'),
        ("ada@müller.de", "ada@xn--mller-kva.de"),
    ],
)
def test_an_odd_address_is_one_recipient_and_no_more(letters: Letters, address: str, written: str) -> None:
    message = letters.write(Letter("confirm", address, VALUES, CODE), "id.1")
    assert [each.addr_spec for each in message["To"].addresses] == [written]


def test_an_address_beyond_ascii_is_written_as_it_is(letters: Letters) -> None:
    message = letters.write(Letter("confirm", "ünal@example.net", VALUES, CODE), "id.1")
    assert "ünal@example.net".encode() in message.as_bytes()


@pytest.mark.parametrize("address", ["a@x\r\nBcc: y@z", "a\nb@example.net", "ada@ｅxample.org"])
def test_an_address_that_cannot_stand_in_a_header_is_refused(letters: Letters, address: str) -> None:
    with pytest.raises(Unwritable):
        letters.write(Letter("confirm", address, VALUES, CODE), "id.1")


def test_neither_code_nor_address_shows_in_the_repr() -> None:
    shown = repr(Letter("confirm", "ada@example.net", VALUES, CODE))
    assert CODE not in shown
    assert "ada" not in shown
