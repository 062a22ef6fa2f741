from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.widgets import Input, Select

from projectw_shared.accounts import Quota, Usage
from projectw_shared.errors import Conflict
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobState
from projectw_shared.messages import JobError, RunnerRef
from projectw_tui.quotas import hours_in_words, number_of_bytes, seconds_of_hours, size_in_words
from projectw_tui.screens import list_pane, panes
from projectw_tui.screens.admin import AdminScreen
from projectw_tui.screens.confirm import ConfirmScreen
from projectw_tui.screens.form import FormScreen
from projectw_tui.screens.jobs import JobsScreen
from projectw_tui.screens.secret import SecretScreen
from projectw_tui.settings import TuiSettings
from projectw_tui.widgets.record_table import RecordTable

from .driving import NARROW, Pilot, arrives, lines, row, shows, signed_in, text
from .fake_accounts import FakeUser
from .fake_server import EMAIL, HOSTILE_NAMES, FakeServer
from .test_hostile_text import assert_harmless

EVE = "eve@example.org"
NEW = "a-much-better-one"


@pytest.fixture
def root(fake: FakeServer) -> FakeServer:
    """A server at which one is an admin, with a second account."""
    fake.accounts.ada.is_admin = True
    fake.accounts.users.append(FakeUser(EVE))
    return fake


@asynccontextmanager
async def admin(
    fake: FakeServer, settings: TuiSettings, tab: str = "1", size: tuple[int, int] = NARROW
) -> AsyncIterator[Pilot[None]]:
    """The admins' screen, with a tab open."""
    async with signed_in(settings, fake.grant(), size=size) as pilot:
        await shows(pilot, lambda: pilot.app.screen.check_action("admin", ()))
        await pilot.press("A")
        await arrives(pilot, AdminScreen)
        await pilot.press(tab)
        yield pilot


def eve(fake: FakeServer) -> FakeUser:
    return next(user for user in fake.accounts.users if user.email == EVE)


async def fill(pilot: Pilot[None], **values: str) -> None:
    await arrives(pilot, FormScreen)
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = value
    await pilot.press("ctrl+s")


async def yes(pilot: Pilot[None]) -> None:
    await arrives(pilot, ConfirmScreen)
    await pilot.press("y")


def list_of(pilot: Pilot[None]) -> RecordTable:
    return next(
        table for table in pilot.app.screen.query(RecordTable) if table.parent and table.parent.display
    )


async def test_only_admins_are_offered_it(fake: FakeServer, settings: TuiSettings) -> None:
    async with signed_in(settings, fake.grant()) as pilot:
        await shows(pilot, lambda: EMAIL in text(pilot))
        await pilot.press("A")
        await pilot.pause()
        assert isinstance(pilot.app.screen, JobsScreen)


async def test_who_is_no_admin_any_more_sees_nothing_of_others(
    root: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panes, "EVERY", 0.05)
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("d")
        await arrives(pilot, FormScreen)
        await pilot.press("escape")
        root.accounts.ada.is_admin = False
        await arrives(pilot, JobsScreen)
        assert EVE not in text(pilot)
        await shows(pilot, lambda: not pilot.app.screen.check_action("admin", ()))


# --- users --------------------------------------------------------------------------------------------------


async def test_users_are_searched_at_the_server_while_one_types(
    root: FakeServer, settings: TuiSettings
) -> None:
    root.accounts.users += [FakeUser(f"user{n}@example.org") for n in range(300)]
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: "user299" in text(pilot))
        assert EVE not in text(pilot)
        await pilot.press("slash", *"eve")
        await shows(pilot, lambda: EVE in text(pilot) and "user299" not in text(pilot))
        await pilot.press("enter", "escape")
        await shows(pilot, lambda: "user299" in text(pilot))
        await pilot.press("escape")
        await arrives(pilot, JobsScreen)


async def test_further_pages_are_read_before_one_gets_there(
    root: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pane, "PAGE", 40)
    monkeypatch.setattr(panes, "EVERY", 0.2)
    root.accounts.users += [FakeUser(f"user{n}@example.org") for n in range(100)]
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: list_of(pilot).row_count == 40)
        await pilot.press("end")
        await shows(pilot, lambda: list_of(pilot).row_count == 80)
        await pilot.press("end")
        await shows(pilot, lambda: list_of(pilot).row_count == 102)
        await pilot.press("end")
        await shows(pilot, lambda: list_of(pilot).cursor_row == 101)
        kept = list_of(pilot).selected
        asked = root.calls("GET", "/api/admin/users")
        await shows(pilot, lambda: root.calls("GET", "/api/admin/users") > asked + 4)
        assert (list_of(pilot).row_count, list_of(pilot).selected) == (102, kept)


async def test_a_user_is_disabled_and_let_in_again(root: FakeServer, settings: TuiSettings) -> None:
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("x")
        await yes(pilot)
        await shows(pilot, lambda: "is disabled." in text(pilot))
        await shows(pilot, lambda: "disabled" in row(pilot, f" {EVE} "))
        assert eve(root).disabled
        await shows(pilot, lambda: "x Enable" in text(pilot) and "x Disable" not in text(pilot))
        await pilot.press("x")
        await shows(pilot, lambda: "may sign in again" in text(pilot))
    assert not eve(root).disabled


async def test_a_user_becomes_an_admin_and_gets_a_password(root: FakeServer, settings: TuiSettings) -> None:
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("a")
        await yes(pilot)
        await shows(pilot, lambda: "is an admin now" in text(pilot))
        assert eve(root).is_admin
        await pilot.press("p")
        await fill(pilot, new=NEW, again=NEW)
        await shows(pilot, lambda: "has the new password" in text(pilot))
    assert eve(root).password == NEW


async def test_a_quota_is_set_in_words_of_people(root: FakeServer, settings: TuiSettings) -> None:
    eve(root).quota = Quota(36_000, 500_000_000, None)
    eve(root).usage = Usage(5400, 2 * 10**8, 1)
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: "1:30:00 of 10:00:00" in text(pilot))
        await pilot.press("u")
        await arrives(pilot, FormScreen)
        assert pilot.app.screen.query_one("#bytes", Input).value == "500M"
        pilot.app.screen.query_one("#whose", Select).value = "own"
        await fill(pilot, hours="much", bytes="20G", jobs="5")
        await shows(pilot, lambda: "no number of hours" in text(pilot))
        await fill(pilot, hours="")
        await shows(pilot, lambda: "has the new quota" in text(pilot))
    assert eve(root).quota == Quota(None, 20 * 10**9, 5)


async def test_a_user_is_made_and_deleted(root: FakeServer, settings: TuiSettings) -> None:
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("n")
        await fill(pilot, email=EVE, new=NEW, again=NEW)
        await shows(pilot, lambda: "account with this address already" in text(pilot))
        await fill(pilot, email="new@example.org")
        await shows(pilot, lambda: "new@example.org is made" in text(pilot))
        await pilot.press("home", "d")
        await fill(pilot, address="eve")
        await shows(pilot, lambda: "not the address" in text(pilot))
        await fill(pilot, address="new@example.org")
        await shows(pilot, lambda: "new@example.org is deleted" in text(pilot))
    assert [user.email for user in root.accounts.users] == [EMAIL, EVE]


# --- runners ------------------------------------------------------------------------------------------------


async def test_runners_are_shown_as_they_work(
    root: FakeServer, settings: TuiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panes, "EVERY", 0.05)
    root.admin.add_runner(name="gpu-1", job=new_id())
    async with admin(root, settings, "2", size=(120, 30)) as pilot:
        await shows(pilot, lambda: "working" in row(pilot, "gpu-1"))
        assert "NVIDIA H100" in text(pilot)
        assert "base, large-v3" in text(pilot)
        root.admin.runners.clear()
        root.admin.add_runner(name="gpu-2", cordoned=True, cordon_reason="5 jobs failed in a row")
        await shows(pilot, lambda: "Cordoned: 5 jobs failed in a row" in text(pilot))


async def test_a_runner_is_cordoned_drained_and_revoked(root: FakeServer, settings: TuiSettings) -> None:
    root.admin.add_runner(name="gpu-1")
    async with admin(root, settings, "2") as pilot:
        await shows(pilot, lambda: "idle" in row(pilot, "gpu-1") and "Cordon" in lines(pilot)[-1])
        await pilot.press("c")
        await shows(pilot, lambda: "cordoned" in row(pilot, "gpu-1 "))
        await shows(pilot, lambda: "Uncordon" in lines(pilot)[-1])
        await pilot.press("u")
        await shows(pilot, lambda: "gets jobs again" in text(pilot))
        await pilot.press("w")
        await yes(pilot)
        await shows(pilot, lambda: "draining" in text(pilot))
        await pilot.press("d")
        await yes(pilot)
        await shows(pilot, lambda: "There are no runners" in text(pilot))


async def test_a_new_runners_token_is_shown_once(root: FakeServer, settings: TuiSettings) -> None:
    async with admin(root, settings, "2") as pilot:
        await shows(pilot, lambda: "There are no runners" in text(pilot))
        await pilot.press("n")
        await fill(pilot, name="gpu-9")
        await arrives(pilot, SecretScreen)
        await shows(pilot, lambda: "pwr_the-token" in text(pilot))
        await pilot.press("escape")
        await shows(pilot, lambda: "gpu-9" in text(pilot))
        assert "pwr_the-token" not in text(pilot)


# --- jobs and the log ---------------------------------------------------------------------------------------


async def test_everybodys_jobs_are_shown_by_name_and_state(root: FakeServer, settings: TuiSettings) -> None:
    root.add(file_name="other.wav")
    root.add(
        file_name="talk.wav",
        state=JobState.FAILED,
        runner=RunnerRef("1", "gpu-1", "0"),
        error=JobError("no-sound", "It holds no sound."),
    )
    async with admin(root, settings, "3", size=(120, 30)) as pilot:
        await shows(pilot, lambda: "talk.wav" in text(pilot) and "gpu-1" in text(pilot))
        assert "It holds no sound. (no-sound)" in text(pilot)
        await pilot.press("s")
        await shows(pilot, lambda: "talk.wav" not in text(pilot) and "other.wav" in text(pilot))
        assert "Only jobs that are queued." in text(pilot)
        await pilot.press("slash", *"talk")
        await shows(pilot, lambda: "Nothing fits" in text(pilot))


async def test_the_audit_log_is_filtered_by_action(root: FakeServer, settings: TuiSettings) -> None:
    root.admin.add_entry(action="login")
    root.admin.add_entry(action="user-changed", details={"disabled": True})
    root.admin.add_entry(action="job-submitted", number=None, hash=None)
    async with admin(root, settings, "4") as pilot:
        await shows(pilot, lambda: "Not sealed yet" in text(pilot))
        await pilot.press("down")
        await shows(pilot, lambda: "disabled=true" in text(pilot))
        await pilot.press("f")
        await shows(pilot, lambda: "job-submitted" not in text(pilot))
        assert "user-changed" in text(pilot)
        await pilot.press("escape")
        await shows(pilot, lambda: "job-submitted" in text(pilot))


async def test_what_the_server_refuses_is_said(root: FakeServer, settings: TuiSettings) -> None:
    root.breaking[f"/api/admin/users/{eve(root).id}"] = Conflict("This is the last admin.")
    async with admin(root, settings) as pilot:
        await shows(pilot, lambda: EVE in text(pilot))
        await pilot.press("a")
        await yes(pilot)
        await shows(pilot, lambda: "✗ This is the last admin." in text(pilot))


# --- what strangers have written ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_foreign_text_is_harmless_in_every_tab(
    root: FakeServer, settings: TuiSettings, name: str
) -> None:
    root.accounts.users.append(FakeUser(f"{name}@example.org"))
    root.admin.add_runner(
        name=name, version=name, engine=name, device=name, cordon_reason=name, models=[name], job=name
    )
    root.admin.add_entry(action=name, actor_kind=name, address=name, object_id=name, details={name: name})
    root.add(file_name=name, state=JobState.FAILED, error=JobError("x", name), language=name[:8])
    async with admin(root, settings, size=(120, 30)) as pilot:
        for tab, words in (("1", "audio 0:00"), ("2", "made "), ("3", "sent "), ("4", "No. ")):
            await pilot.press(tab)
            await shows(pilot, lambda words=words: words in text(pilot))
            assert_harmless(pilot)
        await pilot.press("2", "d")
        await arrives(pilot, ConfirmScreen)
        assert_harmless(pilot)
        await pilot.press("n", "1", "u")
        await arrives(pilot, FormScreen)
        assert_harmless(pilot)


def test_bounds_are_read_as_they_are_written() -> None:
    for count in (0, 1, 999, 500_000_000, 20 * 10**9, 3 * 10**12, 123_456_789):
        assert number_of_bytes(size_in_words(count)) == count
    for seconds in (0.0, 36_000.0, 5400.0, 10.0):
        assert seconds_of_hours(hours_in_words(seconds)) == pytest.approx(seconds)
    for wrong in ("nan", "inf", "-1", "x"):
        with pytest.raises(ValueError, match="no number of hours"):
            seconds_of_hours(wrong)
