from textual.widgets import Input

from projectw_tui.app import ProjectWApp
from projectw_tui.screens.help import HelpScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.login import LoginScreen
from projectw_tui.settings import TuiSettings

from .driving import arrives, shows, signed_in, table, text
from .fake_server import EMAIL, PASSWORD, FakeServer


async def test_one_signs_in_and_is_remembered(fake: FakeServer, settings: TuiSettings) -> None:
    fake.add(file_name="mine.wav")
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press(*EMAIL, "enter", *PASSWORD.replace(" ", "_").replace("_", " "), "enter")
        await arrives(pilot, JobsScreen)
        await shows(pilot, lambda: "mine.wav" in text(pilot))
        assert EMAIL in text(pilot)
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, JobsScreen)
    assert fake.calls("POST", "/api/auth/login") == 1


async def test_a_wrong_password_is_said_and_can_be_typed_again(
    fake: FakeServer, settings: TuiSettings
) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press(*EMAIL, "enter", *"wrong", "enter")
        await shows(pilot, lambda: "The e-mail address or the password is wrong." in text(pilot))
        password = pilot.app.screen.query_one("#password", Input)
        assert password.has_focus
        assert not password.value


async def test_a_server_that_is_away_is_said(settings: TuiSettings, fake: FakeServer) -> None:
    await fake.stop()
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press(*EMAIL, "enter", *"secret", "enter")
        await shows(pilot, lambda: "cannot be reached" in text(pilot))


async def test_an_address_that_would_send_in_the_clear_is_refused(settings: TuiSettings) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        screen = await arrives(pilot, LoginScreen)
        screen.query_one("#server", Input).value = "http://example.org"
        await pilot.press(*EMAIL, "enter", *"secret", "enter")
        await shows(pilot, lambda: "unencrypted" in text(pilot))


async def test_empty_fields_are_not_sent(fake: FakeServer, settings: TuiSettings) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await pilot.press("enter", "enter")
        await shows(pilot, lambda: "All three fields are needed." in text(pilot))
    assert not fake.calls("POST", "/api/auth/login")


async def test_a_session_that_ends_leads_back_to_the_sign_in(fake: FakeServer, settings: TuiSettings) -> None:
    job = fake.add()
    token = fake.grant()
    async with signed_in(settings, token) as pilot:
        await shows(pilot, lambda: table(pilot).row_count == 1 and EMAIL in text(pilot))
        fake.access.clear()
        await pilot.press("c")
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "Your session has ended" in text(pilot))
        # The same person signs in again: the password alone is missing, and is not typed where it can be read.
        assert pilot.app.screen.query_one("#email", Input).value == EMAIL
        await shows(pilot, lambda: pilot.app.screen.query_one("#password", Input).has_focus)
    assert job.id in fake.jobs


async def test_ctrl_c_tells_how_to_leave(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await pilot.press("ctrl+c")
        await shows(pilot, lambda: "ctrl+q leaves" in text(pilot))
        assert "[b]" not in text(pilot)


async def test_the_sign_in_shows_how_to_leave(fake: FakeServer, settings: TuiSettings) -> None:
    async with ProjectWApp(settings).run_test() as pilot:
        await arrives(pilot, LoginScreen)
        await shows(pilot, lambda: "^q Quit" in text(pilot))


async def test_ctrl_q_leaves_from_a_dialog_too(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await pilot.press("question_mark")
        await arrives(pilot, HelpScreen)
        await pilot.press("ctrl+q")
        await shows(pilot, lambda: not pilot.app.is_running)


async def test_logging_out_ends_the_session_at_the_server(fake: FakeServer, settings: TuiSettings) -> None:
    token = fake.grant()
    async with signed_in(settings, token) as pilot:
        await pilot.press("ctrl+l")
        await arrives(pilot, LoginScreen)
    assert token not in fake.access
