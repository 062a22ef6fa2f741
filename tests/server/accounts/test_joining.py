"""Getting an account and getting back into it, over HTTP, with a mail server that brings the codes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace
from quart import Quart
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.mail import room
from projectw_server.app import create_app
from projectw_server.db import Database
from projectw_server.settings import ServerSettings
from projectw_shared import routes

from ..live import until
from ..smtp import Post, listening

ADA, BOB = "ada@example.org", "bob@example.org"
PASSWORD, ANOTHER = "violin-tangerine-moth-38", "cobalt-anchor-pillow-92"


@pytest.fixture
async def mailbox() -> AsyncIterator[Post]:
    async with listening() as post:
        yield post


@pytest.fixture
def settings(settings: ServerSettings, mailbox: Post, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setattr(room, "LOOKED_EVERY", 0.01)
    return replace(
        settings,
        signup="open",
        allowed_email_domains=["example.org"],
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        smtp_security="plain",
        mail_from="projectw@example.org",
        public_url="https://projectw.example.org",
    )


async def login(client: Client, email: str = ADA, password: str = PASSWORD) -> dict[str, str]:
    """Return the headers of a new sign-in."""
    answer = await client.post(routes.LOGIN, json={"email": email, "password": password})
    assert answer.status_code == 200, await answer.get_data(as_text=True)
    return {"Authorization": f"Bearer {(await answer.get_json())['access_token']}"}


async def sign_up(client: Client, email: str = ADA, password: str = PASSWORD) -> None:
    answer = await client.post(routes.SIGNUP, json={"email": email, "password": password})
    assert (answer.status_code, await answer.get_data()) == (202, b"")


async def next_code(mailbox: Post, count: int) -> str:
    """Return the code in the letter with that number, which is awaited."""
    await until(lambda: len(mailbox.letters) >= count)
    return mailbox.code()


async def code_of(answer: object) -> tuple[int, str]:
    return answer.status_code, (await answer.get_json())["code"]  # type: ignore[attr-defined]


async def test_a_person_signs_up_looks_around_confirms_and_works(client: Client, mailbox: Post) -> None:
    await sign_up(client)
    headers = await login(client)
    me = await (await client.get(routes.ME, headers=headers)).get_json()
    assert (me["email"], me["confirmed"], me["unconfirmed_email"]) == (ADA, False, ADA)
    assert await code_of(await client.get(routes.JOBS, headers=headers)) == (403, "not-confirmed")
    code = await next_code(mailbox, 1)
    assert mailbox.recipients == [ADA]
    assert (await client.post(routes.ACTIVATE, json={"token": f" {code.upper()} "})).status_code == 204
    assert (await client.get(routes.JOBS, headers=headers)).status_code == 200
    me = await (await client.get(routes.ME, headers=headers)).get_json()
    assert (me["email"], me["confirmed"], me["unconfirmed_email"]) == (ADA, True, None)
    assert await code_of(await client.post(routes.ACTIVATE, json={"token": code})) == (400, "wrong-token")


async def test_a_person_has_the_code_sent_again(client: Client, mailbox: Post) -> None:
    await sign_up(client)
    headers = await login(client)
    first = await next_code(mailbox, 1)
    assert (await client.post(routes.ACTIVATE_RESEND, headers=headers)).status_code == 202
    second = await next_code(mailbox, 2)
    assert await code_of(await client.post(routes.ACTIVATE, json={"token": first})) == (400, "wrong-token")
    assert (await client.post(routes.ACTIVATE, json={"token": second})).status_code == 204
    assert await code_of(await client.post(routes.ACTIVATE_RESEND, headers=headers)) == (409, "conflict")


async def test_a_person_gets_back_in_without_the_password(
    client: Client, mailbox: Post, make_user: object
) -> None:
    user = await make_user(ADA)  # type: ignore[operator]
    answer = await client.post(routes.PASSWORD_RESET, json={"email": ADA})
    assert (answer.status_code, await answer.get_data()) == (202, b"")
    code = await next_code(mailbox, 1)
    weak = {"token": code, "new_password": "password1"}
    assert await code_of(await client.post(routes.PASSWORD_RESET_CONFIRM, json=weak)) == (
        422,
        "weak-password",
    )
    good = {"token": code, "new_password": ANOTHER}
    assert (await client.post(routes.PASSWORD_RESET_CONFIRM, json=good)).status_code == 204
    assert (await client.get(routes.ME, headers=user.headers)).status_code == 401
    await login(client, password=ANOTHER)
    await until(lambda: len(mailbox.letters) == 2)
    assert "was changed" in mailbox.letters[1]["Subject"]


async def test_a_person_moves_to_another_address(client: Client, mailbox: Post, make_user: object) -> None:
    await make_user(ADA)  # type: ignore[operator]
    password = "correct horse battery staple"
    here, elsewhere = await login(client, password=password), await login(client, password=password)
    change = {"password": password, "new_email": BOB}
    assert (await client.post(routes.MY_EMAIL, headers=here, json=change)).status_code == 204
    code = await next_code(mailbox, 1)
    assert mailbox.recipients == [BOB]
    assert (await client.post(routes.ACTIVATE, headers=here, json={"token": code})).status_code == 204
    me = await (await client.get(routes.ME, headers=here)).get_json()
    assert me["email"] == BOB
    assert (await client.get(routes.ME, headers=elsewhere)).status_code == 401
    await until(lambda: len(mailbox.letters) == 2)
    assert mailbox.recipients == [BOB, ADA]


async def test_answers_about_known_and_unknown_addresses_are_the_same(
    client: Client, make_user: object
) -> None:
    await make_user(ADA)  # type: ignore[operator]
    asked = {
        routes.SIGNUP: lambda email: {"email": email, "password": PASSWORD},
        routes.LOGIN: lambda email: {"email": email, "password": "wrong"},
        routes.PASSWORD_RESET: lambda email: {"email": email},
    }
    for path, body in asked.items():
        known, unknown = [await client.post(path, json=body(email)) for email in (ADA, BOB)]
        assert known.status_code == unknown.status_code
        assert await known.get_data() == await unknown.get_data()
        assert set(known.headers.keys()) == set(unknown.headers.keys())


async def test_the_server_says_who_may_sign_up(client: Client) -> None:
    about = await (await client.get(routes.ABOUT)).get_json()
    assert (about["signup"], about["allowed_email_domains"]) == ("open", ["example.org"])
    body = {"email": "ada@evil.com", "password": PASSWORD}
    assert await code_of(await client.post(routes.SIGNUP, json=body)) == (403, "not-open")


async def test_the_server_says_whether_it_sends_mails(settings: ServerSettings, database: Database) -> None:
    for host, expected in ((None, False), ("localhost", True)):
        app: Quart = create_app(replace(settings, smtp_host=host, mail_from="w@example.org"), database)
        about = await (await app.test_client().get(routes.ABOUT)).get_json()
        assert about["mail"] is expected


async def test_a_server_that_is_closed_makes_nobody_an_account(
    settings: ServerSettings, database: Database
) -> None:
    closed: Quart = create_app(replace(settings, signup="closed"), database)
    async with closed.test_app():
        client = closed.test_client()
        assert (await (await client.get(routes.ABOUT)).get_json())["signup"] == "closed"
        body = {"email": ADA, "password": PASSWORD}
        assert await code_of(await client.post(routes.SIGNUP, json=body)) == (403, "not-open")


async def test_too_many_wrong_passwords_say_when_to_come_back(client: Client) -> None:
    body = {"email": ADA, "password": "wrong"}
    answers = [await client.post(routes.LOGIN, json=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert (await answers[-1].get_json())["code"] == "too-many-tries"
    assert answers[-1].headers["Retry-After"] == "1"


async def test_changing_to_a_weak_password_is_refused(client: Client, make_user: object) -> None:
    user = await make_user(ADA)  # type: ignore[operator]
    body = {"password": "correct horse battery staple", "new_password": "ada@example.org"}
    answer = await client.post(routes.MY_PASSWORD, headers=user.headers, json=body)
    assert await code_of(answer) == (422, "weak-password")


@pytest.fixture
def logging_undone() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.usefixtures("logging_undone")
async def test_neither_codes_nor_addresses_nor_passwords_reach_the_log(
    client: Client, mailbox: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    from projectw_server import logs

    logs.set_up("debug", "json")
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # of the mail server, which is no part of ours
    await sign_up(client, "planted-address@example.org", "planted-password-Xq7-moth")
    code = await next_code(mailbox, 1)
    mailbox.rcpt = "550 no {address} here"
    await client.post(routes.PASSWORD_RESET, json={"email": "planted-address@example.org"})
    await client.post(routes.ACTIVATE, json={"token": code})
    await asyncio.sleep(0)
    told = capsys.readouterr().err
    assert "planted" not in told
    assert code not in told
    assert "mail dealt with" in told
