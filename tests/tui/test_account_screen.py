import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from textual.widgets import Input, OptionList, Select

from projectw_shared.accounts import Disclosure, Quota, Usage
from projectw_shared.errors import Conflict, InsufficientScope
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_tui.screens import panes
from projectw_tui.screens.account import AccountScreen
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import FormScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.login import LoginScreen
from projectw_tui.screens.secret import SecretScreen
from projectw_tui.screens.upload import UploadScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.record_table import RecordTable

from .driving import NARROW, Pilot, arrives, row, shows, signed_in, text
from .fake_server import EMAIL, HOSTILE_NAMES, PASSWORD, FakeServer
from .test_hostile_text import assert_harmless

NEW = "a-much-better-one"


@asynccontextmanager
async def account(
    fake: FakeServer, settings: TuiSettings, tab: str = "1", size: tuple[int, int] = NARROW
) -> AsyncIterator[Pilot[None]]:
    """The account screen, with a tab open."""
    async with signed_in(settings, fake.grant(), size=size) as pilot:
        await pilot.press("a")
        await arrives(pilot, AccountScreen)
        await shows(pilot, lambda: "1 Account" in text(pilot))
        await pilot.press(tab)
        yield pilot


async def choose(pilot: Pilot[None], words: str) -> None:
    """Do one of the deeds of the first tab."""
    options = pilot.app.screen.query_one("OptionList")
    await shows(pilot, lambda: words in text(pilot))
    for _ in range(12):
        if words in str(options.get_option_at_index(options.highlighted or 0).prompt):
            break
        await pilot.press("down")
    await pilot.press("enter")


async def fill(pilot: Pilot[None], **values: str) -> None:
    await arrives(pilot, FormScreen)
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = value
    await pilot.press("ctrl+s")


def selected(pilot: Pilot[None]) -> str | None:
    return next(table for table in pilot.app.screen.query(RecordTable) if table.has_focus).selected


async def test_quota_and_use_are_shown_as_bars(fake: FakeServer, settings: TuiSettings) -> None:
    fake.accounts.ada.quota = Quota(36_000, 10**9, None)
    fake.accounts.ada.usage = Usage(5400, 95 * 10**7, 3)
    async with account(fake, settings) as pilot:
        await shows(pilot, lambda: "1:30:00 of 10:00:00" in text(pilot))
        assert "━━━─" in row(pilot, "Audio this month")
        assert "nearly all" in row(pilot, "Stored")
        assert "without bound" in row(pilot, "Jobs that wait")
        assert EMAIL in text(pilot)
        await pilot.press("escape")
        await arrives(pilot, JobsScreen)


async def test_help_tells_every_key_that_changes_the_tab(fake: FakeServer, settings: TuiSettings) -> None:
    async with account(fake, settings, size=(100, 40)) as pilot:
        await pilot.press("question_mark")
        await shows(pilot, lambda: "^pagedown  →  Next tab" in text(pilot))


async def test_the_cursor_stays_on_its_deed_when_others_come_before_it(
    fake: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panes, "EVERY", 0.05)
    fake.accounts.ada.unconfirmed_email = "next@example.org"
    async with account(fake, settings) as pilot:
        await shows(pilot, lambda: "Send that code again" in text(pilot))
        options = pilot.app.screen.query_one(OptionList)
        await pilot.press("down", "down")
        assert options.highlighted_option is not None
        assert options.highlighted_option.id == "password"
        fake.accounts.ada.unconfirmed_email = None  # confirmed elsewhere
        await shows(pilot, lambda: "Send that code again" not in text(pilot))
        assert options.highlighted_option.id == "password"


async def test_the_password_is_changed_and_a_mistake_loses_nothing(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings) as pilot:
        await choose(pilot, "Change the password")
        await fill(pilot, present="wrong", new=NEW, again=NEW)
        await shows(pilot, lambda: "The password is wrong." in text(pilot))
        assert pilot.app.screen.query_one("#new", Input).value == NEW
        await fill(pilot, present=PASSWORD, again="other")
        await shows(pilot, lambda: "two new passwords differ" in text(pilot))
        await fill(pilot, again=NEW)
        await arrives(pilot, AccountScreen)
        await shows(pilot, lambda: "password is changed" in text(pilot))
    assert fake.accounts.ada.password == NEW


async def test_the_address_is_changed_with_a_code(fake: FakeServer, settings: TuiSettings) -> None:
    async with account(fake, settings) as pilot:
        await choose(pilot, "Change the address")
        await fill(pilot, email="new@example.org", present=PASSWORD)
        await shows(pilot, lambda: "waits for its code" in text(pilot))
        await choose(pilot, "Send that code again")
        await shows(pilot, lambda: "Another mail" in text(pilot))
        (code,) = fake.accounts.codes
        await choose(pilot, "Enter the code")
        await fill(pilot, code=code)
        await arrives(pilot, AccountScreen)
        await shows(pilot, lambda: "address is confirmed" in text(pilot))
    assert fake.accounts.ada.email == "new@example.org"


async def test_an_address_that_has_changed_elsewhere_is_shown(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings) as pilot:
        await shows(pilot, lambda: f"· {EMAIL}" in text(pilot))
        fake.accounts.ada.email = "new@example.org"
        await pilot.press("ctrl+r")
        await shows(pilot, lambda: "· new@example.org" in text(pilot))


async def test_logging_out_everywhere_asks_and_leads_to_the_sign_in(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings) as pilot:
        await choose(pilot, "Log out everywhere")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("n")
        await arrives(pilot, AccountScreen)
        await choose(pilot, "Log out everywhere")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "logged out everywhere" in text(pilot))
    assert fake.accounts.ended_everywhere == 1


async def test_deleting_the_account_needs_its_address(fake: FakeServer, settings: TuiSettings) -> None:
    async with account(fake, settings) as pilot:
        await choose(pilot, "Delete the account")
        await fill(pilot, address="ada", present=PASSWORD)
        await shows(pilot, lambda: "not the address" in text(pilot))
        assert fake.accounts.users
        await fill(pilot, address=EMAIL)
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Your account is deleted." in text(pilot))
    assert not fake.accounts.users


async def test_sessions_are_listed_and_ended(fake: FakeServer, settings: TuiSettings) -> None:
    here = fake.accounts.add_session(current=True)
    fake.accounts.add_session(address="198.51.100.9", client="curl/8")
    async with account(fake, settings, "2") as pilot:
        await shows(pilot, lambda: "curl/8" in text(pilot))
        assert "here" in row(pilot, "192.0.2.7")
        await pilot.press("down", "d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await shows(pilot, lambda: "The session has ended." in text(pilot))
        await shows(pilot, lambda: "curl/8" not in text(pilot))
    assert fake.accounts.sessions == [here]


async def test_a_new_tokens_secret_is_shown_once_and_can_be_copied(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "no API tokens" in text(pilot))
        await pilot.press("n")
        await fill(pilot, name="", end="soon")
        await shows(pilot, lambda: "needs a name" in text(pilot))
        await fill(pilot, name="ci")
        await shows(pilot, lambda: "neither a span" in text(pilot))
        pilot.app.screen.query_one("#scope", Select).value = "write"
        await fill(pilot, end="30d")
        await arrives(pilot, SecretScreen)
        await shows(pilot, lambda: "pwt_the-secret" in text(pilot))
        await pilot.press("c")
        await shows(pilot, lambda: pilot.app.clipboard == "pwt_the-secret")
        await pilot.press("escape")
        await shows(pilot, lambda: "ci" in row(pilot, "write"))
        assert "pwt_the-secret" not in text(pilot)
    assert fake.accounts.tokens[0].scope == "write"


async def test_a_token_is_revoked_after_a_question(fake: FakeServer, settings: TuiSettings) -> None:
    fake.accounts.add_token(name="old")
    kept = fake.accounts.add_token(name="kept")
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "old" in text(pilot))
        await pilot.press("down", "d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await shows(pilot, lambda: "The token is revoked." in text(pilot))
    assert fake.accounts.tokens == [kept]


async def test_defaults_are_saved_and_begin_the_next_upload(fake: FakeServer, settings: TuiSettings) -> None:
    fake.accounts.defaults = JobSettings(language="de", temperature=0.2, priority=-2)
    async with account(fake, settings, "4") as pilot:
        await shows(pilot, lambda: "German" in text(pilot))
        pilot.app.screen.query_one("#model", Select).value = "small"
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "from now on" in text(pilot))
        await pilot.press("escape")
        await arrives(pilot, JobsScreen)
        await pilot.press("u")
        await arrives(pilot, UploadScreen)
        await shows(pilot, lambda: "German" in text(pilot) and "small" in text(pilot))
    assert fake.accounts.defaults == JobSettings(model="small", language="de", temperature=0.2, priority=-2)


async def test_defaults_that_no_model_honours_are_refused_here(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings, "4") as pilot:
        await shows(pilot, lambda: "automatic" in text(pilot))
        pilot.app.screen.query_one("#model", Select).value = "turbo"
        pilot.app.screen.query_one("#task", Select).value = "translate"
        await pilot.press("ctrl+s")
        await shows(pilot, lambda: "not trained to translate" in text(pilot))
    assert not fake.calls("PUT", "/api/users/me/defaults")


async def test_what_admins_have_read_is_told_in_full(fake: FakeServer, settings: TuiSettings) -> None:
    reason = "The owner asked for help with a transcript that was cut off in the middle"
    fake.accounts.disclosures = [
        Disclosure(new_id(), datetime.now(UTC), new_id(), "talk.wav", "root@example.org", reason)
    ]
    async with account(fake, settings, "5") as pilot:
        await shows(pilot, lambda: reason in text(pilot))
        assert "root@example.org" in text(pilot)


async def test_what_is_looked_at_is_read_again_by_itself(
    fake: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panes, "EVERY", 0.05)
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "no API tokens" in text(pilot))
        fake.accounts.add_token(name="made elsewhere")
        await shows(pilot, lambda: "made elsewhere" in text(pilot))
        asked = fake.calls("GET", "/api/sessions")
        seen = fake.calls("GET", "/api/tokens")
        await shows(pilot, lambda: fake.calls("GET", "/api/tokens") > seen + 3)
        assert fake.calls("GET", "/api/sessions") == asked


async def test_a_trouble_with_reading_is_said_and_mends_itself(
    fake: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panes, "EVERY", 0.05)
    fake.accounts.add_token(name="here before")
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "here before" in text(pilot))
        fake.breaking["/api/tokens"] = InsufficientScope("Not with this token.")
        await shows(pilot, lambda: "Not with this token." in text(pilot))
        assert "here before" in text(pilot)
        del fake.breaking["/api/tokens"]
        await shows(pilot, lambda: "Not with this token." not in text(pilot))


async def test_a_slow_server_is_shown_as_busy_and_asked_once(fake: FakeServer, settings: TuiSettings) -> None:
    held = asyncio.Event()
    token = fake.accounts.add_token(name="old")
    path = f"/api/tokens/{token.id}"
    fake.held[path] = held
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "old" in text(pilot))
        await pilot.press("d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await shows(pilot, lambda: "Asking the server" in text(pilot))
        await pilot.press("d")
        held.set()
        await shows(pilot, lambda: "The token is revoked." in text(pilot))
    assert fake.calls("DELETE", path) == 1


async def test_the_first_reading_from_a_slow_server_is_shown(fake: FakeServer, settings: TuiSettings) -> None:
    held = fake.held["/api/tokens"] = asyncio.Event()
    async with account(fake, settings, "3") as pilot:
        await shows(pilot, lambda: "Reading …" in text(pilot))
        held.set()
        await shows(pilot, lambda: "no API tokens" in text(pilot))


async def test_a_deed_that_fails_is_said_in_the_status_line(fake: FakeServer, settings: TuiSettings) -> None:
    session = fake.accounts.add_session()
    fake.breaking[f"/api/sessions/{session.id}"] = Conflict("Come back in a minute.")
    async with account(fake, settings, "2") as pilot:
        await shows(pilot, lambda: selected(pilot) == session.id)
        await pilot.press("d")
        await arrives(pilot, ConfirmScreen)
        await pilot.press("y")
        await shows(pilot, lambda: "✗ Come back in a minute." in text(pilot))


async def test_a_session_that_ends_meanwhile_leads_to_the_sign_in(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with account(fake, settings) as pilot:
        await choose(pilot, "Change the password")
        await arrives(pilot, FormScreen)
        fake.access.clear()
        await fill(pilot, present=PASSWORD, new=NEW, again=NEW)
        await arrives(pilot, LoginScreen)


async def test_tabs_are_changed_with_arrows_and_numbers(fake: FakeServer, settings: TuiSettings) -> None:
    fake.accounts.add_token(name="ci")
    async with account(fake, settings, "2") as pilot:
        await shows(pilot, lambda: "no sessions" in text(pilot))
        await pilot.press("ctrl+pagedown")
        await shows(pilot, lambda: "ci" in text(pilot))
        await pilot.press("left", "left")
        await shows(pilot, lambda: "Change the password" in text(pilot))
        for key in "23452345":
            await pilot.press(key)
        await shows(pilot, lambda: "No admin has read" in text(pilot))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_foreign_text_is_harmless_in_every_tab(
    fake: FakeServer, settings: TuiSettings, name: str
) -> None:
    fake.accounts.ada.email, fake.accounts.ada.unconfirmed_email = f"{name}@x", f"{name}@y"
    fake.accounts.add_session(client=name, address=name)
    fake.accounts.add_token(name=name)
    fake.accounts.defaults = JobSettings(initial_prompt=name)
    fake.accounts.disclosures = [Disclosure(new_id(), datetime.now(UTC), new_id(), name, name, name)]
    async with account(fake, settings, size=(120, 30)) as pilot:
        await shows(pilot, lambda: "To be" in text(pilot))
        assert_harmless(pilot)
        for tab, words in (("2", "Signed in"), ("3", "does not end"), ("4", "Beam size"), ("5", " read ")):
            await pilot.press(tab)
            await shows(pilot, lambda words=words: words in text(pilot))
            assert_harmless(pilot)
        await pilot.press("3", "d")
        await arrives(pilot, ConfirmScreen)
        assert_harmless(pilot)
