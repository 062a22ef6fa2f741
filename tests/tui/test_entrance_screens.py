import asyncio

import pytest
from textual.widgets import Button, Input

from projectw_shared.errors import Busy, TooManyTries
from projectw_shared.ids import new_id
from projectw_tui.app import ProjectWApp
from projectw_tui.screens.activation import ActivationScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.login import LoginScreen
from projectw_tui.screens.reset import ResetScreen
from projectw_tui.screens.signup import SignUpScreen
from projectw_tui.settings import TuiSettings

from .driving import Pilot, arrives, lines, shows, text
from .fake_accounts import FakeUser
from .fake_server import EMAIL, PASSWORD, FakeServer

EVE = "eve@example.org"
NEW = "a-much-better-one"


@pytest.fixture
def open_to_all(fake: FakeServer) -> FakeServer:
    fake.accounts.signup = "open"
    fake.accounts.domains = ["example.org"]
    return fake


def pending(fake: FakeServer) -> FakeUser:
    """An account that waits for its code."""
    fake.accounts.users.append(FakeUser(new_id(), NEW, confirmed=False, unconfirmed_email=EVE))
    return fake.accounts.users[-1]


async def fill(pilot: Pilot[None], **values: str) -> None:
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = value
    await pilot.pause()


async def test_one_signs_up_confirms_the_address_and_is_in(
    open_to_all: FakeServer, settings: TuiSettings
) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "example.org" in text(pilot) and "Sign up" in text(pilot))
        await pilot.press("f2")
        await arrives(pilot, SignUpScreen)
        assert "example.org" in text(pilot)
        await pilot.press(*EVE, "enter", *NEW, "enter", *NEW, "enter")
        await arrives(pilot, ActivationScreen)
        await shows(pilot, lambda: EVE in text(pilot))
        (first,) = open_to_all.accounts.codes
        await pilot.press("f5")
        await shows(pilot, lambda: "Another mail" in text(pilot))
        (code,) = open_to_all.accounts.codes
        await fill(pilot, code=first)
        await pilot.press("enter")
        await shows(pilot, lambda: "not valid" in text(pilot))
        assert pilot.app.screen.query_one("#code", Input).value == first
        await fill(pilot, code=f"  {code} ")
        await pilot.press("enter")
        await arrives(pilot, JobsScreen)
        await shows(pilot, lambda: EVE in text(pilot))


async def test_where_no_mail_is_sent_one_is_told_who_has_the_code(
    open_to_all: FakeServer, settings: TuiSettings
) -> None:
    open_to_all.accounts.mail = False
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Sign up" in text(pilot))
        await pilot.press("f2")
        await arrives(pilot, SignUpScreen)
        await pilot.press(*EVE, "enter", *NEW, "enter", *NEW, "enter")
        await arrives(pilot, ActivationScreen)
        await shows(pilot, lambda: "This server sends no mail" in text(pilot))
        assert EVE in text(pilot)
        assert "from the mail" not in text(pilot)
        await pilot.press("f5")
        await shows(pilot, lambda: text(pilot).count("sends no mail") == 2)


async def test_a_sign_up_that_is_refused_keeps_what_was_typed(
    open_to_all: FakeServer, settings: TuiSettings
) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Sign up" in text(pilot))
        await pilot.press("f2")
        screen = await arrives(pilot, SignUpScreen)
        await fill(pilot, email=EVE, password="short", again="shor")
        pilot.app.screen.query_one("#send", Button).press()
        await shows(pilot, lambda: "passwords differ" in text(pilot))
        await fill(pilot, again="short")
        pilot.app.screen.query_one("#send", Button).press()
        await shows(pilot, lambda: "would be guessed" in text(pilot))
        assert screen.query_one("#email", Input).value == EVE
        assert screen.query_one("#again", Input).value == "short"
        await pilot.press("escape")
        await arrives(pilot, LoginScreen)
    assert len(open_to_all.accounts.users) == 1


async def test_where_nobody_can_sign_up_it_is_not_offered(fake: FakeServer, settings: TuiSettings) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "made by the operator" in text(pilot))
        assert "Sign up" not in text(pilot)
        await pilot.press("f2")
        await pilot.pause()
        assert isinstance(pilot.app.screen, LoginScreen)


async def test_what_another_server_offers_is_asked_for_when_it_is_named(
    open_to_all: FakeServer, settings: TuiSettings
) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        screen = await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Sign up" in text(pilot))
        screen.query_one("#server", Input).focus()
        await fill(pilot, server="http://127.0.0.1:1")
        await pilot.press("enter")
        await shows(pilot, lambda: "Sign up" not in text(pilot))
        screen.query_one("#server", Input).focus()
        await fill(pilot, server=open_to_all.url)
        await pilot.press("enter")
        await shows(pilot, lambda: "Sign up" in text(pilot))


async def test_signing_in_before_the_code_leads_to_the_code(fake: FakeServer, settings: TuiSettings) -> None:
    user = pending(fake)
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press(*EVE, "enter", *NEW, "enter")
        await arrives(pilot, ActivationScreen)
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("escape")
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "logged out" in text(pilot))
    assert not user.confirmed


async def test_a_kept_session_of_a_pending_account_leads_to_the_code(
    fake: FakeServer, settings: TuiSettings
) -> None:
    user = pending(fake)
    token = fake.grant()
    fake.accounts.owners[token] = user
    async with ProjectWApp(settings, token=token).run_test() as pilot:
        await arrives(pilot, ActivationScreen)
        await shows(pilot, lambda: EVE in text(pilot))
        assert not fake.listeners


async def test_a_code_is_entered_without_a_session(fake: FakeServer, settings: TuiSettings) -> None:
    user = pending(fake)
    fake.accounts.codes["pwm-1"] = ("confirm", user)
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press("f4")
        await arrives(pilot, ActivationScreen)
        assert "Send again" not in text(pilot)
        await pilot.press(*"pwm-1", "enter")
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "confirmed: sign in" in text(pilot))
    assert user.confirmed


async def test_a_forgotten_password_is_replaced(fake: FakeServer, settings: TuiSettings) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press(*EMAIL, "f3")
        await arrives(pilot, ResetScreen)
        assert EMAIL in text(pilot)
        await pilot.press("enter")
        await shows(pilot, lambda: "a mail with a code" in text(pilot))
        (code,) = fake.accounts.codes
        await pilot.press(*code, "enter", *NEW, "enter", *NEW, "enter")
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "new password is set" in text(pilot))
        assert pilot.app.screen.query_one("#password", Input).has_focus
        await pilot.press(*NEW, "enter")
        await arrives(pilot, JobsScreen)
    assert fake.accounts.ada.password == NEW


async def test_a_wrong_code_or_a_busy_server_loses_nothing_that_was_typed(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press("f3")
        screen = await arrives(pilot, ResetScreen)
        await fill(pilot, code="wrong", password=NEW, again=NEW)
        pilot.app.screen.query_one("#send", Button).press()
        await shows(pilot, lambda: "not valid" in text(pilot))
        fake.breaking["/api/auth/password-reset/confirm"] = TooManyTries("Too many tries; wait a minute.")
        pilot.app.screen.query_one("#send", Button).press()
        await shows(pilot, lambda: "wait a minute" in text(pilot))
        assert screen.query_one("#password", Input).value == NEW


async def test_a_slow_server_is_asked_once(open_to_all: FakeServer, settings: TuiSettings) -> None:
    held = open_to_all.held["/api/auth/signup"] = asyncio.Event()
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Sign up" in text(pilot))
        await pilot.press("f2")
        await arrives(pilot, SignUpScreen)
        await fill(pilot, email=EVE, password=NEW, again=NEW)
        pilot.app.screen.query_one("#send", Button).press()
        await shows(pilot, lambda: "Asking the server" in text(pilot))
        pilot.app.screen.query_one("#send", Button).press()
        held.set()
        await arrives(pilot, ActivationScreen)
    assert open_to_all.calls("POST", "/api/auth/signup") == 1


async def test_a_server_that_is_busy_when_it_is_asked_for_news_does_not_hinder(
    fake: FakeServer, settings: TuiSettings
) -> None:
    fake.breaking["/api/users/me"] = Busy()
    async with ProjectWApp(settings, token=fake.grant()).run_test() as pilot:
        await arrives(pilot, JobsScreen)
        await shows(pilot, lambda: "● live" in text(pilot))
        del fake.breaking["/api/users/me"]
        fake.cut()
        await shows(pilot, lambda: EMAIL in text(pilot))


@pytest.mark.parametrize("way", ["f2", "f3", "f4"])
async def test_everything_fits_a_small_terminal(
    open_to_all: FakeServer, settings: TuiSettings, way: str
) -> None:
    open_to_all.accounts.domains = [f"department-{n}.example.org" for n in range(30)]
    async with ProjectWApp(settings).run_test(size=(80, 24)) as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Sign up" in text(pilot))
        assert "Sign in" in text(pilot)
        await pilot.press(way)
        await shows(pilot, lambda: not isinstance(pilot.app.screen, LoginScreen))
        await pilot.pause()
        assert " Back " in "\n".join(lines(pilot)[:-1])


def test_passwords_are_left_out_of_messages() -> None:
    for message in (
        SignUpScreen.SignedUp(EVE, PASSWORD),
        LoginScreen.Submitted("http://localhost", EVE, PASSWORD),
    ):
        assert PASSWORD not in repr(message)
