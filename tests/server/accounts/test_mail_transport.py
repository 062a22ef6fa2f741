"""The way to the mail server: encrypted, signed in, and what becomes of its refusals."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from projectw_server.accounts.mail.transport import NotSent, Transport, transport_of
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError

from ..smtp import PASSWORD, USER, Authority, Post, authority, listening

ADA = "ada@example.net"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def plain() -> AsyncIterator[Post]:
    async with listening() as post:
        yield post


def way(post: Post, security: str = "plain", **more: Any) -> Transport:
    settings = ServerSettings(
        smtp_host="localhost" if security != "plain" else "127.0.0.1",
        smtp_port=post.port,
        smtp_security=security,  # type: ignore[arg-type]
        mail_from="Project W <projectw@example.org>",
    )
    transport = transport_of(replace(settings, **more))
    assert transport is not None
    return transport


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "projectw@example.org", ADA, "Grüße"
    message.set_content("Hello")
    return message


async def test_a_letter_arrives(plain: Post) -> None:
    await way(plain).send(letter(), ADA)
    assert plain.recipients == [ADA]
    assert plain.letters[0]["Subject"] == "Grüße"
    assert plain.text() == "Hello\n"


async def test_starttls_encrypts_before_anything_is_said(trusted: Authority) -> None:
    async with listening(starttls=trusted.context, auth=True) as post:
        signed = {"smtp_user": USER, "smtp_password": PASSWORD, "smtp_ca_file": trusted.file}
        await way(post, "starttls", **signed).send(letter(), ADA)
        assert post.was_encrypted == [True]
        assert post.signed_in == [USER]


async def test_tls_encrypts_from_the_first_byte(trusted: Authority) -> None:
    async with listening(tls=trusted.context) as post:
        await way(post, "tls", smtp_ca_file=trusted.file).send(letter(), ADA)
        assert post.was_encrypted == [True]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(trusted: Authority, security: str) -> None:
    contexts = {security: trusted.context}
    async with listening(**contexts) as post:
        with pytest.raises(NotSent) as refused:
            await way(post, security).send(letter(), ADA)
        assert not refused.value.is_final
        assert post.letters == []


async def test_a_server_without_starttls_gets_nothing(plain: Post, trusted: Authority) -> None:
    with pytest.raises(NotSent):
        await way(plain, "starttls", smtp_ca_file=trusted.file).send(letter(), ADA)
    assert plain.letters == []


async def test_a_wrong_password_is_tried_again_for_the_operator_can_correct_it(trusted: Authority) -> None:
    async with listening(starttls=trusted.context, auth=True) as post:
        signed = {"smtp_user": USER, "smtp_password": "wrong", "smtp_ca_file": trusted.file}
        with pytest.raises(NotSent, match="SMTPAuthenticationError 535") as refused:
            await way(post, "starttls", **signed).send(letter(), ADA)
        assert not refused.value.is_final


@pytest.mark.parametrize(
    ("answer", "is_final"), [("550 no {address} here", True), ("450 {address} is busy", False)]
)
async def test_a_refused_recipient_is_final_or_not_as_the_server_says(
    plain: Post, answer: str, is_final: bool
) -> None:
    plain.rcpt = answer
    with pytest.raises(NotSent, match=f"refused with {answer[:3]}") as refused:
        await way(plain).send(letter(), ADA)
    assert refused.value.is_final is is_final
    assert ADA not in str(refused.value), "what the server says repeats addresses, which are not for the log"
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(("answer", "is_final"), [("554 not that", True), ("451 later", False)])
async def test_a_refused_letter_too(plain: Post, answer: str, is_final: bool) -> None:
    plain.data = answer
    with pytest.raises(NotSent) as refused:
        await way(plain).send(letter(), ADA)
    assert refused.value.is_final is is_final


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    async with listening() as post:
        transport = way(post)
    with pytest.raises(NotSent) as refused:
        await transport.send(letter(), ADA)
    assert not refused.value.is_final


def test_without_a_host_there_is_no_way() -> None:
    assert transport_of(ServerSettings()) is None


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"mail_from": None}, "server.mail_from: is needed with smtp_host"),
        ({"mail_from": "nobody"}, "server.mail_from: is no address"),
        ({"mail_from": "a@example.org\r\nBcc: b@example.org"}, "server.mail_from: is no address"),
        ({"smtp_security": "plain"}, "server.smtp_security: is plain, which would send codes"),
        ({"smtp_user": "projectw"}, "server.smtp_user: and smtp_password belong together"),
        ({"smtp_password": "x"}, "server.smtp_user: and smtp_password belong together"),
        ({"smtp_ca_file": Path("/nowhere.pem")}, "server.smtp_ca_file: /nowhere.pem cannot be used"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(wrong: dict[str, Any], what: str) -> None:
    settings = ServerSettings(smtp_host="mail.example.org", mail_from="projectw@example.org")
    with pytest.raises(ConfigError) as refused:
        transport_of(replace(settings, **wrong))
    assert what in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_plain_is_taken_on_this_machine(host: str) -> None:
    settings = ServerSettings(smtp_host=host, smtp_security="plain", mail_from="projectw@localhost")
    assert transport_of(settings) is not None
